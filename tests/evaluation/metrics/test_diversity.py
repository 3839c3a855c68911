"""Diversity and memorisation: copies, near copies, and fresh clips are told apart."""

import numpy as np
import pytest

from latentfoley.evaluation.metrics.diversity import (
    cosine_distances,
    diversity_score,
    memorisation_rate,
    nearest_training_score,
)


def rows(n=100, width=12, seed=0):
    return np.random.default_rng(seed).normal(size=(n, width))


def test_known_distances():
    axes = np.eye(2)
    assert cosine_distances(axes, 3 * axes) == pytest.approx(np.array([[0.0, 1.0], [1.0, 0.0]]))
    assert diversity_score(axes).value == pytest.approx(1.0)
    assert diversity_score(np.array([[1.0, 0.0], [-1.0, 0.0]])).value == pytest.approx(2.0)


def test_copies_of_one_clip_have_no_diversity():
    assert diversity_score(np.repeat(rows(1), 10, axis=0)).value == pytest.approx(0, abs=1e-12)


def test_copies_are_found():
    training = rows()
    copies = training[:40] + 1e-3 * rows(40, seed=1)
    fresh = rows(40, seed=2)
    assert memorisation_rate(copies, training).value == 1.0
    assert 0.3 < memorisation_rate(fresh, training).value < 0.7
    near, far = (nearest_training_score(made, training) for made in (copies, fresh))
    assert near.value == pytest.approx(0, abs=1e-5)
    assert far.interval[0] > near.interval[1]
