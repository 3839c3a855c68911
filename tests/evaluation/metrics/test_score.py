"""Scores: intervals cover what they should, and bad arrays are refused."""

import numpy as np
import pytest

from latentfoley.errors import InputError
from latentfoley.evaluation.metrics.score import Bootstrap, mean_score, rate_score, require_pairs


def mean_of(values, **settings):
    return mean_score("x", np.asarray(values), better="lower", caveat="none.", **settings)


def test_a_mean_has_its_n_and_an_interval_around_it():
    score = mean_of(np.arange(10.0))
    assert (score.value, score.n) == (4.5, 10)
    assert score.interval[0] < 4.5 < score.interval[1]
    assert "10 clips are few" in score.caveat


def test_the_interval_of_a_mean_covers_the_truth_nineteen_times_of_twenty():
    rng = np.random.default_rng(0)
    scores = [mean_of(rng.normal(3.0, 1.0, 60)) for _ in range(200)]
    covered = np.mean([score.interval[0] <= 3.0 <= score.interval[1] for score in scores])
    assert 0.88 <= covered <= 0.99


def test_few_clips_have_no_interval_rather_than_a_narrow_one():
    score = mean_of([1.0, 2.0])
    assert score.interval is None
    assert "too few" in score.caveat


def test_the_same_seed_gives_the_same_interval():
    values = np.random.default_rng(0).normal(size=30)
    assert mean_of(values) == mean_of(values)
    assert mean_of(values) != mean_of(values, bootstrap=Bootstrap(seed=1))


def test_windows_are_drawn_with_their_clip():
    owners = np.repeat(np.arange(6), 5)
    seen = []
    Bootstrap(resamples=50, owners=(owners,)).draws(lambda rows: seen.append(rows) or 0.0, 30)
    for rows in seen:
        counts = np.bincount(rows, minlength=30).reshape(6, 5)
        assert (counts == counts[:, :1]).all()


def test_windows_that_are_alike_make_nothing_surer():
    rng = np.random.default_rng(0)
    clips = rng.normal(size=20)
    alone = mean_of(clips)
    owners = (np.repeat(np.arange(20), 9),)
    repeated = mean_of(np.repeat(clips, 9), bootstrap=Bootstrap(owners=owners))
    width = alone.interval[1] - alone.interval[0]
    assert repeated.interval[1] - repeated.interval[0] == pytest.approx(width, rel=0.2)


def test_none_of_ten_is_not_sure_to_be_none():
    score = rate_score("x", np.zeros(10), caveat="none.")
    assert score.value == 0
    assert score.interval == pytest.approx((0.0, 0.2775), abs=1e-3)  # Wilson, by hand
    assert score.method == "Wilson"


@pytest.mark.parametrize("values", [[], [1.0], [1.0, np.nan], [1.0, np.inf]])
def test_no_number_where_there_is_none(values):
    with pytest.raises((InputError, ValueError)):
        mean_of(values)


def test_pairs_have_equal_shapes():
    with pytest.raises(InputError, match="pairs"):
        require_pairs(np.zeros((2, 3)), np.zeros((3, 3)), "x")
