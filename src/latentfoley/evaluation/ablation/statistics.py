"""Do two cells differ? Intervals and p-values in which a prompt is one observation.

Clips of one prompt are alike, so a test that takes each for itself finds differences that are not
there. Everything here draws, flips and swaps whole prompts, and the same ones in both cells, which
were asked the same prompts with the same noise: that takes out what makes one prompt harder than
another.

    bootstrap     draw prompts with replacement: how far would the difference move with others?
    permutation   if the cells are alike, exchanging the clips of any prompts changes nothing:
                  how often is the difference then as large as the one seen?      [Fisher 1935]
    Holm          over m comparisons, p₍ᵢ₎ · (m - i + 1), rising: the chance that any of them is
                  called different when it is not stays below 5 %.                  [Holm 1979]
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np
from jaxtyping import Bool, Float64, Int64

from latentfoley.evaluation.metrics.score import FEWEST_CLIPS, Interval, Rows, Values, spread

ALPHA = 0.05
_TIES = 1e-9  # sums in another order differ by rounding: they count as equal

Clusters = Sequence[Sequence[Rows]]
"""The rows of every prompt, model by model."""

SetValue = Callable[[Rows], float]


@dataclass(frozen=True)
class P:
    """A two-sided p-value, and the smallest that the test could have given."""

    value: float
    least: float


def draw_prompts(n_prompts: int, draws: int, seed: int = 0) -> Int64[np.ndarray, "B P"]:
    """Return resamples of prompts; none at all below five, which say nothing about others."""
    if n_prompts < FEWEST_CLIPS:
        return np.empty((0, n_prompts), dtype=np.int64)
    return np.random.default_rng(seed).integers(0, n_prompts, (draws, n_prompts))


def mean_interval(per_prompt: Values, draws: Int64[np.ndarray, "B P"]) -> Interval | None:
    """Return the 95 % interval of the mean of one number per prompt; a mean has no bias to move."""
    if len(draws) == 0:
        return None
    low, high = np.quantile(per_prompt[draws].mean(axis=1), [0.025, 0.975])
    return float(low), float(high)


def set_interval(
    value: Callable[[Sequence[int]], float], draws: Int64[np.ndarray, "B P"]
) -> Interval | None:
    """Return the 95 % interval of a number that is computed from a choice of prompts.

    Prompts drawn twice bias it, so the interval is moved onto the value, as `spread` says.
    """
    whole = value(range(draws.shape[1]))
    return spread(whole, np.array([value(rows) for rows in draws.tolist()]))


def sign_flip_test(differences: Values, draws: int, seed: int = 0) -> P:
    """Test whether one number per prompt differs between two cells, by its mean.

    Args:
        differences: of both cells, one per prompt.
        draws: random sign patterns; all of them are taken where there are no more than that.
        seed: of the patterns.
    """
    flips = _patterns(len(differences), draws, seed)
    signs = np.where(flips, -1.0, 1.0)
    return _p(
        float(differences.mean()), signs @ differences / len(differences), len(differences), draws
    )


def swap_test(one: Clusters, other: Clusters, value: SetValue, draws: int, seed: int = 0) -> P:
    """Test whether two cells differ, by a number of their sets: label-swap permutation.

    Args:
        one, other: the rows of every prompt, model by model.
        value: of a set of rows.
        draws, seed: as in `sign_flip_test`.
    """
    n_prompts = len(one[0])

    def difference(flips: Sequence[bool]) -> float:
        mixed = [_swap(a, b, flips) for a, b in zip(one, other, strict=True)]
        return float(np.mean([value(x) - value(y) for x, y in mixed]))

    drawn = [difference(flips) for flips in _patterns(n_prompts, draws, seed).tolist()]
    return _p(difference([False] * n_prompts), np.array(drawn), n_prompts, draws)


def _swap(one: Sequence[Rows], other: Sequence[Rows], flips: Sequence[bool]) -> tuple[Rows, Rows]:
    x = [b if flip else a for a, b, flip in zip(one, other, flips, strict=True)]
    y = [a if flip else b for a, b, flip in zip(one, other, flips, strict=True)]
    return np.concatenate(x), np.concatenate(y)


def runs_test(one: Values, other: Values) -> P:
    """Test whether models trained one way differ from as many trained another way.

    A training run is one observation here: every way to share the runs out is tried. Three runs of
    each can give no p below 0.1, four none below 0.029.
    """
    runs, n = np.concatenate([one, other]), len(one)
    sums = np.array([runs[list(rows)].sum() for rows in combinations(range(2 * n), n)])
    differences = (2 * sums - runs.sum()) / n
    # The mirror image of what was seen is always among the choices.
    return P(_share_as_large(float(one.mean() - other.mean()), differences), 2 / comb(2 * n, n))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values corrected for their number, in their order.

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values, kind="stable")
    factors = len(p_values) - np.arange(len(p_values))
    rising = np.maximum.accumulate(np.asarray(p_values, dtype=np.float64)[order] * factors)
    corrected = np.empty(len(p_values))
    corrected[order] = np.minimum(rising, 1.0)
    return [float(p) for p in corrected]


def _patterns(n_units: int, draws: int, seed: int) -> Bool[np.ndarray, "M n"]:
    """Return which units are exchanged: every pattern, or as many random ones as `draws`."""
    if _is_exact(n_units, draws):
        numbers = np.arange(2**n_units)[:, None]
        return np.asarray((numbers >> np.arange(n_units)) % 2 == 1)
    return np.random.default_rng(seed).random((draws, n_units)) < 0.5


def _is_exact(n_units: int, draws: int) -> bool:
    return n_units < 63 and 1 << n_units <= draws


def _p(seen: float, drawn: Float64[np.ndarray, "M"], n_units: int, draws: int) -> P:
    """Return the share of patterns that give as much; what was seen counts as one of them."""
    share = _share_as_large(seen, drawn)
    if _is_exact(n_units, draws):
        return P(share, 2 / 2**n_units)
    return P((share * len(drawn) + 1) / (len(drawn) + 1), 1 / (len(drawn) + 1))


def _share_as_large(seen: float, drawn: Float64[np.ndarray, "M"]) -> float:
    return float((np.abs(drawn) >= abs(seen) * (1 - _TIES) - 1e-15).mean())
