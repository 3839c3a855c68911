"""Right when nothing differs, sharp on a shift, exact where that can be had."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from latentfoley.evaluation.ablation.statistics import (
    draw_prompts,
    holm,
    mean_interval,
    runs_test,
    set_interval,
    sign_flip_test,
    swap_test,
)


def spread_of(rows):
    """A number of a set that is no mean of its members."""
    return float(rows.std())


def normals(seed, *shape, shift):
    """Return random numbers, the first of their rows moved."""
    values = np.random.default_rng(seed).normal(size=shape)
    values[0] += shift
    return values


def clusters(values):
    """Return values (prompt, clip) as one model's rows."""
    return [[np.asarray(clips, dtype=float).reshape(-1, 1) for clips in values]]


class TestHolm:
    def test_by_hand(self):
        # Sorted: 0.005 · 4, 0.01 · 3, 0.03 · 2, 0.04 · 1, none below the one before.
        assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])

    def test_one_comparison_is_not_corrected(self):
        assert holm([0.2]) == [0.2]
        assert holm([]) == []

    @given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
    def test_keeps_the_order_between_p_and_bonferroni(self, p):
        corrected = holm(p)
        for one, fixed in zip(p, corrected, strict=True):
            assert one <= fixed <= min(1.0, one * len(p) + 1e-12) + 1e-12
        order = np.argsort(p, kind="stable")
        assert (np.diff(np.array(corrected)[order]) >= 0).all()


class TestSignFlips:
    def test_all_patterns_agree_with_scipy(self):
        one, other = normals(4, 2, 9, shift=0.6)
        oracle = stats.permutation_test(
            (one, other), lambda x, y: (x - y).mean(), permutation_type="samples", n_resamples=10**4
        )
        found = sign_flip_test(one - other, 1000)
        assert found.value == pytest.approx(oracle.pvalue, abs=1e-12)
        assert found.least == 2 / 2**9

    def test_by_hand(self):
        # Of the eight signs of 1, 2, 3 only +++ and --- sum to 6 or more.
        assert sign_flip_test(np.array([1.0, 2.0, 3.0]), 1000).value == 2 / 8

    def test_no_difference_is_no_evidence(self):
        for n in (4, 40):
            assert sign_flip_test(np.zeros(n), 199).value == 1.0

    def test_a_shift_is_found_and_p_is_never_zero(self):
        found = sign_flip_test(np.random.default_rng(0).normal(1.0, 1.0, 60), 999)
        assert found.value == found.least == 1 / 1000

    def test_p_is_uniform_when_nothing_differs(self):
        rng = np.random.default_rng(7)
        p = [sign_flip_test(rng.normal(size=30), 199, seed=k).value for k in range(600)]
        assert stats.kstest(p, "uniform").pvalue > 0.01
        assert np.mean(np.array(p) <= 0.05) == pytest.approx(0.05, abs=0.02)

    def test_clips_of_a_prompt_are_not_taken_for_independent(self):
        """Ten clips a prompt that move together: only a test of prompts keeps to its 5 %."""
        rng = np.random.default_rng(1)
        prompts, clips = [], []
        for k in range(200):
            differences = np.repeat(rng.normal(size=12), 10) + 0.3 * rng.normal(size=120)
            prompts.append(sign_flip_test(differences.reshape(12, 10).mean(axis=1), 199, k).value)
            clips.append(sign_flip_test(differences, 199, k).value)
        assert np.mean(np.array(prompts) <= 0.05) < 0.1
        assert np.mean(np.array(clips) <= 0.05) > 0.3


class TestSwaps:
    def test_all_patterns_agree_with_scipy(self):
        one, other = np.random.default_rng(3).normal(size=(2, 8)) * [[2.0], [1.0]]
        oracle = stats.permutation_test(
            (one, other),
            lambda x, y: x.std() - y.std(),
            permutation_type="samples",
            n_resamples=10**4,
            vectorized=False,
        )
        found = swap_test(clusters(one), clusters(other), spread_of, 1000)
        assert found.value == pytest.approx(oracle.pvalue, abs=1e-12)

    def test_equal_sets_are_no_evidence(self):
        rows = clusters(np.random.default_rng(0).normal(size=(20, 3)))
        assert swap_test(rows, rows, spread_of, 199).value == 1.0

    def test_another_spread_is_found(self):
        rng = np.random.default_rng(0)
        one, other = clusters(rng.normal(size=(40, 2))), clusters(3 * rng.normal(size=(40, 2)))
        assert swap_test(one, other, spread_of, 199).value == 1 / 200

    def test_p_is_uniform_when_nothing_differs(self):
        rng = np.random.default_rng(5)
        p = []
        for k in range(200):
            common = rng.normal(size=(16, 1))  # what makes a prompt what it is, in both cells
            one, other = (clusters(common + rng.normal(size=(16, 2))) for _ in range(2))
            p.append(swap_test(one, other, spread_of, 99, k).value)
        assert stats.kstest(p, "uniform").pvalue > 0.01

    def test_prompts_of_other_numbers_of_rows_go_together(self):
        one = [[np.ones((2, 1)), np.zeros((5, 1)), np.full((3, 1), 2.0)]]
        seen = []

        def count(rows):
            seen.append(len(rows))
            return float(len(rows))

        swap_test(one, [[np.ones((1, 1))] * 3], count, 99)
        assert {*seen} == set(range(3, 11))  # 3 and every sum of 1, 4 and 2

    def test_means_of_sets_are_signs_of_differences(self):
        """On a mean both tests are one test."""
        one, other = normals(6, 2, 10, 3, shift=0.4)
        signs = sign_flip_test((one - other).mean(axis=1), 2000)
        swaps = swap_test(clusters(one), clusters(other), lambda rows: float(rows.mean()), 2000)
        assert swaps.value == pytest.approx(signs.value, abs=1e-12)


class TestRuns:
    def test_agrees_with_scipy(self):
        one, other = normals(2, 2, 4, shift=0.8)
        oracle = stats.permutation_test(
            (one, other), lambda x, y: x.mean() - y.mean(), permutation_type="independent"
        )
        assert runs_test(one, other).value == pytest.approx(oracle.pvalue, abs=1e-12)

    def test_three_runs_a_side_cannot_show_anything(self):
        found = runs_test(np.array([10.0, 11.0, 12.0]), np.array([0.0, 1.0, 2.0]))
        assert (found.value, found.least) == (0.1, 0.1)

    def test_equal_runs_are_no_evidence(self):
        assert runs_test(np.ones(3), np.ones(3)).value == 1.0


class TestIntervals:
    def test_of_a_mean_agrees_with_the_closed_form(self):
        values = np.random.default_rng(8).normal(3.0, 2.0, 400)
        low, high = mean_interval(values, draw_prompts(400, 4000))
        half = 1.96 * values.std(ddof=1) / 20
        assert low == pytest.approx(values.mean() - half, abs=0.1 * half)
        assert high == pytest.approx(values.mean() + half, abs=0.1 * half)

    @settings(max_examples=20)
    @given(st.integers(0, 10**6))
    def test_of_a_set_holds_its_value(self, seed):
        values = np.random.default_rng(seed).normal(size=30)
        low, high = set_interval(lambda rows: float(values[rows].std()), draw_prompts(30, 50))
        assert low <= values.std() <= high

    def test_four_prompts_say_nothing_about_others(self):
        draws = draw_prompts(4, 100)
        assert mean_interval(np.arange(4.0), draws) is None
        assert set_interval(lambda rows: float(len(rows)), draws) is None
