"""CLAP score: cosines, and that captions in the wrong order lower it."""

import numpy as np
import pytest

from latentfoley.errors import InputError
from latentfoley.evaluation.metrics.clap_score import clap_score, clap_similarity, cosines


def rows(n=30, width=16, seed=0):
    return np.random.default_rng(seed).normal(size=(n, width))


def test_the_angle_is_known():
    one = np.array([[1.0, 0.0], [0.0, 2.0], [3.0, 0.0]])
    other = np.array([[5.0, 5.0], [0.0, 1.0], [-1.0, 0.0]])
    assert cosines(one, other) == pytest.approx([np.sqrt(0.5), 1.0, -1.0])


@pytest.mark.parametrize("score", [clap_score, clap_similarity])
def test_shuffled_pairs_are_worse(score):
    sounds = rows()
    texts = sounds + 0.5 * rows(seed=1)
    right, wrong = score(sounds, texts), score(sounds, np.roll(texts, 1, axis=0))
    assert right.interval[0] > wrong.interval[1]


def test_zeros_have_no_direction():
    with pytest.raises(InputError, match="zeros"):
        clap_score(np.zeros((3, 4)), rows(3, 4))
