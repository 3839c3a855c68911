"""KL by hand on cases with few classes, and how it moves with shuffled pairs."""

import numpy as np
import pytest
import scipy.stats

from latentfoley.errors import InputError
from latentfoley.evaluation.metrics.divergence import kl_sigmoid, kl_softmax


def logits(n=40, classes=5, seed=0):
    return 3 * np.random.default_rng(seed).normal(size=(n, classes))


def softmax(rows):
    return np.exp(rows) / np.exp(rows).sum(axis=1, keepdims=True)


class TestSoftmax:
    def test_by_hand(self):
        p, q = np.array([[0.5, 0.5], [0.9, 0.1]]), np.array([[0.25, 0.75], [0.9, 0.1]])
        # ½ ln(½/¼) + ½ ln(½/¾) = 0.143841; the other pair agrees
        assert kl_softmax(np.log(q), np.log(p)).value == pytest.approx(0.143841 / 2, abs=1e-6)

    def test_it_is_scipys_and_goes_from_reference_to_generated(self):
        made, real = logits(), logits(seed=1)
        expected = scipy.stats.entropy(softmax(real), softmax(made), axis=1)
        assert kl_softmax(made, real).per_clip == pytest.approx(expected, rel=1e-9)

    def test_huge_logits_stay_finite(self):
        assert np.isfinite(kl_softmax(1e4 * logits(), 1e4 * logits(seed=1)).value)

    def test_shuffled_pairs_are_worse_and_equal_ones_zero(self):
        real = logits()
        assert kl_softmax(real, real).value == 0
        assert kl_softmax(np.roll(real, 1, axis=0), real).interval[0] > 0

    def test_a_folder_in_another_order_is_the_same_if_pairs_are_kept(self):
        made, real = logits(), logits(seed=1)
        moved = kl_softmax(made[::-1], real[::-1])
        assert moved.value == pytest.approx(kl_softmax(made, real).value)

    def test_the_eps_of_the_standard_tool(self):
        made, real = logits(), logits(seed=1)
        p, q = softmax(real), softmax(made)
        expected = np.mean(np.sum(p * (np.log(p) - np.log(q + 1e-6)), axis=1))
        assert kl_softmax(made, real, eps=1e-6).value == pytest.approx(expected)


class TestSigmoid:
    def test_by_hand(self):
        # sigmoid(0) = ½ in one class: ½ (ln ½ - ln ¾) for logit ln 3
        made, real = np.full((2, 1), np.log(3)), np.zeros((2, 1))
        assert kl_sigmoid(made, real, eps=0.0).value == pytest.approx(0.5 * np.log(2 / 3))

    def test_its_fault_a_clip_with_everything_in_it_beats_the_reference_itself(self):
        real = logits()
        assert kl_sigmoid(real + 10, real).value < 0 < kl_sigmoid(real - 10, real).value
        assert "Not a divergence" in kl_sigmoid(real, real).caveat


@pytest.mark.parametrize("kl", [kl_softmax, kl_sigmoid])
def test_unpaired_sets_are_refused(kl):
    with pytest.raises(InputError, match="pairs"):
        kl(logits(5), logits(6))
