"""Verdicts: cells that are alike are never told apart, cells far apart are."""

import numpy as np
import pytest

from latentfoley.evaluation.ablation.cells import Cell, Pair
from latentfoley.evaluation.ablation.observed import ClipNumbers, Draws, SetRows
from latentfoley.evaluation.ablation.results import compare

DRAWS = Draws(resamples=200, permutations=199)


def named(n):
    return [Cell(f"x={k}", {"x": k}, ("m",), "auto", {}) for k in range(n)]


def numbers(*cells, share=False):
    return ClipNumbers([np.asarray(cell, dtype=float) for cell in cells], share, DRAWS)


def spread_of(rows):
    return float(rows.std())


def sets(*cells):
    """Return cells of one model whose rows are one number wide."""
    return SetRows([[[row.reshape(-1, 1) for row in cell]] for cell in cells], spread_of, DRAWS)


def differences(observed, n, pairs):
    ((_, found),) = compare([observed], named(n), pairs, 1)
    return found


NOISE = np.random.default_rng(0).normal(size=(1, 30, 2))


class TestAlike:
    @pytest.mark.parametrize("observed", [numbers(NOISE, NOISE), sets(NOISE[0], NOISE[0])])
    def test_the_same_clips(self, observed):
        (found,) = differences(observed, 2, [Pair(1, 0)])
        assert (found.difference, found.p.value, found.p_holm) == (0.0, 1.0, 1.0)
        assert found.verdict == "not shown to differ"
        assert found.interval == (0.0, 0.0)


class TestApart:
    def test_a_shift_of_means(self):
        up, down = differences(numbers(NOISE, NOISE + 1, NOISE - 1), 3, [Pair(1, 0), Pair(2, 0)])
        assert (up.verdict, down.verdict) == ("higher", "lower")
        assert up.difference == pytest.approx(1.0)
        assert up.interval == pytest.approx((1.0, 1.0))  # paired: what prompts share drops out

    def test_another_spread_of_sets(self):
        wide = 3 * np.random.default_rng(1).normal(size=(30, 2))
        (found,) = differences(sets(wide, NOISE[0]), 2, [Pair(0, 1)])
        assert found.verdict == "higher"
        assert found.interval[0] < found.difference < found.interval[1]

    def test_many_comparisons_ask_for_more(self):
        """A difference that one test would call real is not called so among twenty."""
        rng = np.random.default_rng(3)
        one = rng.normal(size=(1, 30, 1))
        cells = [one, one + rng.normal(0.6, 1.0, size=(1, 30, 1))]
        (alone,) = differences(numbers(*cells), 2, [Pair(1, 0)])
        assert alone.verdict == "higher"
        cells += [one + rng.normal(0.0, 1.0, size=(1, 30, 1)) for _ in range(19)]
        among = differences(numbers(*cells), 21, [Pair(k, 0) for k in range(1, 21)])
        assert among[0].p == alone.p
        assert among[0].p_holm > alone.p_holm
        assert among[0].verdict == "not shown to differ"


class TestValues:
    def test_of_clips_models_and_prompts(self):
        cell = np.arange(24.0).reshape(2, 3, 4)
        ((values, _),) = compare([numbers(cell, cell)], named(2), [Pair(1, 0)], 1)
        assert values[0].value == 11.5
        assert values[0].per_model == (5.5, 17.5)
        assert values[0].per_prompt == (7.5, 11.5, 15.5)

    def test_a_share_of_nothing_still_has_an_interval(self):
        none = numbers(np.zeros((1, 50, 1)), np.zeros((1, 50, 1)), share=True)
        ((values, _),) = compare([none], named(2), [Pair(1, 0)], 1)
        assert values[0].interval == pytest.approx((0.0, 0.0714), abs=1e-4)  # Wilson, 0 of 50

    def test_sets_of_several_models_are_not_thrown_together(self):
        rows = [[np.zeros((5, 1)), np.ones((5, 1))], [np.zeros((5, 1)), 3 * np.ones((5, 1))]]
        seen = SetRows([rows, rows], spread_of, DRAWS)
        ((values, found),) = compare([seen], named(2), [Pair(1, 0)], 1)
        assert values[0].per_model == (0.5, 1.5)
        assert values[0].value == 1.0
        assert found[0].p_runs.value == 1.0


def test_training_runs_are_asked_for_themselves():
    cells = [NOISE + shift for shift in (0.0, 0.1, 0.2)], [NOISE + shift for shift in (5, 6, 7)]
    (found,) = differences(numbers(*map(np.concatenate, cells)), 2, [Pair(1, 0)])
    assert found.verdict == "higher"  # these models differ
    assert found.p_runs.value == found.p_runs.least == 0.1  # three runs cannot show more
