"""A stream has the moments of the set, however it is cut."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latentfoley.errors import InputError
from latentfoley.evaluation.metrics.frechet import frechet_distance
from latentfoley.evaluation.metrics.streaming import Moments, streamed_frechet_distance


def rows(n, width=6, seed=0, shift=0.0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, width)) @ rng.normal(size=(width, width)) + shift


@given(st.lists(st.integers(1, 99), max_size=6), st.sampled_from([0.0, 1e4]))
def test_cuts_do_not_matter(cuts, shift):
    whole = rows(100, shift=shift)
    moments = Moments.of(block for block in np.split(whole, sorted(set(cuts))))
    assert moments.n == 100
    np.testing.assert_allclose(moments.mean, whole.mean(axis=0), rtol=1e-12)
    covariance = np.cov(whole, rowvar=False)
    np.testing.assert_allclose(moments.scatter / 99, covariance, rtol=1e-8, atol=1e-8)


def test_merging_is_commutative_and_associative():
    a, b, c = (Moments.of([rows(20, seed=k)]) for k in range(3))
    one, other = a.merge(b).merge(c), c.merge(b.merge(a))
    np.testing.assert_allclose(one.mean, other.mean, rtol=1e-12)
    np.testing.assert_allclose(one.scatter, other.scatter, rtol=1e-10)


@pytest.mark.parametrize("n", [2, 5, 40, 1000], ids="{} rows".format)
def test_the_distance_is_the_plain_one(n):
    one, other = rows(n), rows(300, seed=1, shift=0.3)
    streamed = streamed_frechet_distance(
        Moments.of(np.array_split(one, min(n, 7))), Moments.of(np.array_split(other, 11))
    )
    assert streamed == pytest.approx(frechet_distance(one, other), rel=1e-6)


def test_of_a_set_and_itself_it_is_zero():
    moments = Moments.of([rows(50)])
    assert streamed_frechet_distance(moments, moments) == pytest.approx(0, abs=1e-9)


def test_a_set_needs_rows():
    with pytest.raises(InputError, match="without rows"):
        Moments.of([])
    with pytest.raises(InputError, match="sets of 1 and 3 rows"):
        streamed_frechet_distance(Moments.of([rows(1)]), Moments.of([rows(3)]))


def test_widths_have_to_agree():
    with pytest.raises(InputError, match="6 and 5 dimensions"):
        Moments.of([rows(3), rows(3, width=5)])
    with pytest.raises(InputError, match="6 and 5 dimensions"):
        streamed_frechet_distance(Moments.of([rows(3)]), Moments.of([rows(3, width=5)]))
