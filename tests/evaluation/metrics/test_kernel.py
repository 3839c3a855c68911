"""KID and KAD: torchmetrics, the sums by hand, and how they move."""

import numpy as np
import pytest
import torch

from latentfoley.errors import InputError
from latentfoley.evaluation.metrics.kernel import kad_score, kid_score, median_distance
from latentfoley.evaluation.metrics.score import Bootstrap

SCORES = [kid_score, kad_score]


def rows(n, width=6, *, seed=0, shift=0.0):
    return np.random.default_rng(seed).normal(size=(n, width)) + shift


def test_kid_is_torchmetrics():
    from torchmetrics.image.kid import poly_mmd

    one, other = rows(40), rows(40, seed=1, shift=0.2)
    expected = float(poly_mmd(torch.from_numpy(one), torch.from_numpy(other)))
    assert kid_score(one, other).value == pytest.approx(expected, rel=1e-9)


def test_kad_by_hand():
    one, other, sigma = rows(7), rows(5, seed=1), 2.0

    def k(x, y):
        return np.exp(-np.sum((x - y) ** 2) / (2 * sigma**2))

    within = [
        np.mean([k(x, y) for i, x in enumerate(s) for j, y in enumerate(s) if i != j])
        for s in (one, other)
    ]
    between = np.mean([k(x, y) for x in one for y in other])
    value = kad_score(one, other, bandwidth=sigma).value
    assert value == pytest.approx(100 * (sum(within) - 2 * between), rel=1e-9)


def test_the_bandwidth_is_the_median_and_is_told():
    other = np.array([[0.0], [1.0], [3.0]])
    assert median_distance(other) == 2.0
    assert "σ = 2" in kad_score(np.array([[0.0], [4.0]]), other).caveat


@pytest.mark.parametrize("score", SCORES)
class TestBoth:
    def test_the_interval_of_equal_sets_holds_zero_and_that_of_far_ones_does_not(self, score):
        sets = [(rows(60, seed=2 * k), rows(60, seed=2 * k + 1)) for k in range(20)]
        intervals = [score(*pair).interval for pair in sets]
        assert sum(low <= 0 <= high for low, high in intervals) >= 18
        assert score(sets[0][0] + 1, sets[0][1]).interval[0] > max(high for _, high in intervals)

    def test_it_is_unbiased(self, score):
        values = [
            score(
                rows(10, 2, seed=2 * k), rows(10, 2, seed=2 * k + 1), bootstrap=Bootstrap(2)
            ).value
            for k in range(400)
        ]
        error = np.std(values) / np.sqrt(len(values))
        assert abs(np.mean(values)) < 3 * error

    def test_order_does_not_matter(self, score):
        one, other = rows(30), rows(30, seed=1)
        assert score(one[::-1], other).value == pytest.approx(score(one, other).value, abs=1e-9)

    def test_widths_must_agree(self, score):
        with pytest.raises(InputError):
            score(rows(5), rows(5, 3))


def test_copies_have_no_bandwidth():
    with pytest.raises(InputError, match="bandwidth"):
        kad_score(rows(5), np.ones((5, 6)))
