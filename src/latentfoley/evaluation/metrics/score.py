"""What a metric returns: a value, how sure it is, and what to beware of.

Every metric of this package is a function from arrays to one `Score`. Arithmetic is in float64.
Intervals say how much the value would move with other clips of the same kind. They do not contain
the bias of metrics that depend on n: that is told in `caveat`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from jaxtyping import Float64, Int64

from latentfoley.errors import InputError

Values = Float64[np.ndarray, "N"]
Rows = Float64[np.ndarray, "N D"]
Interval = tuple[float, float]

FEWEST_CLIPS = 5  # below it resamples repeat so few clips that an interval would be a lie
FEW_CLIPS = 500  # below it the order of two systems can be chance; our judgement, not a theorem
_Z_95 = 1.959964


@dataclass(frozen=True, kw_only=True)
class Score:
    """One number, never alone.

    Attributes:
        name: of the metric, for example "FD".
        value: finite; the unit stands in `unit`.
        n: rows of the generated set: clips or pairs; windows of clips where an embedder pools them.
        interval: 95 %; None below five clips, which say nothing about others.
        method: how the interval was computed.
        better: which direction is good, "neither" for descriptions such as loudness.
        caveat: what a reader must know before comparing the value; never empty.
        per_clip: one number per clip where the metric has them, in the order of the clips.
    """

    name: str
    value: float
    n: int
    interval: Interval | None
    better: Literal["lower", "higher", "neither"]
    caveat: str
    unit: str = ""
    method: Literal["bootstrap", "Wilson"] = "bootstrap"
    per_clip: Values | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class Bootstrap:
    """How intervals are drawn: clips with replacement, the same draws for the same seed.

    Attributes:
        resamples: how many draws.
        seed: of all draws.
        owners: where rows are windows: the clip of every row, one array per set. A clip is then
            drawn with all of its windows, which are not independent. () is one row per clip.
    """

    resamples: int = 200
    seed: int = 0
    owners: tuple[Int64[np.ndarray, "N"], ...] = ()

    def draws(self, statistic: Callable[..., float], *counts: int) -> Values:
        """Return the statistic of every resample; none at all below five clips in a set.

        Args:
            statistic: takes one array of row indices per set.
            counts: rows in each set.
        """
        rng = np.random.default_rng(self.seed)
        members = [
            [np.flatnonzero(owner == clip) for clip in np.unique(owner)] for owner in self.owners
        ]
        if min([len(rows) for rows in members] or counts) < FEWEST_CLIPS:
            return np.empty(0)

        def pick() -> list[Int64[np.ndarray, "N"]]:
            if not members:
                return [_resample(rng, n) for n in counts]
            drawn = [(rows, _resample(rng, len(rows))) for rows in members]
            return [np.concatenate([rows[clip] for clip in clips]) for rows, clips in drawn]

        return np.array([statistic(*pick()) for _ in range(self.resamples)], dtype=np.float64)


def _resample(rng: np.random.Generator, n: int) -> Int64[np.ndarray, "N"]:
    """Return n clips drawn with replacement, at least two of them different."""
    rows = rng.integers(0, n, n)
    while rows.min() == rows.max():
        rows = rng.integers(0, n, n)
    return rows


def spread(value: float, draws: Values) -> Interval | None:
    """Return the middle 95 % of the draws, moved so that their mean falls on `value`.

    Resamples repeat clips, which biases whatever depends on n; the move takes that out and leaves
    the spread. For a mean it changes next to nothing.
    """
    if len(draws) == 0:
        return None
    low, high = np.quantile(draws, [0.025, 0.975]) + (value - draws.mean())
    return float(min(low, value)), float(max(high, value))


def normal_spread(value: float, draws: Values) -> Interval | None:
    """Return value ± 1.96 standard deviations of the draws; a few dozen draws are enough."""
    if len(draws) == 0:
        return None
    half = _Z_95 * float(draws.std(ddof=1))
    return value - half, value + half


def mean_score(
    name: str,
    per_clip: Values,
    *,
    better: Literal["lower", "higher", "neither"],
    caveat: str,
    unit: str = "",
    bootstrap: Bootstrap | None = None,
) -> Score:
    """Return the mean over clips as a score.

    Raises:
        InputError: fewer than two clips, or values that are not finite.
    """
    values = require_values(per_clip, name)
    draws = (bootstrap or Bootstrap()).draws(lambda rows: float(values[rows].mean()), len(values))
    value = float(values.mean())
    return Score(
        name=name,
        value=value,
        n=len(values),
        interval=spread(value, draws),
        better=better,
        caveat=f"{caveat}{few(len(values))}",
        unit=unit,
        per_clip=values,
    )


def rate_score(name: str, hits: Values, *, caveat: str) -> Score:
    """Return a share of clips; its interval is Wilson's, because resamples of 0 of n are all 0.

    (p + z²/2n ± z √(p (1-p)/n + z²/4n²)) / (1 + z²/n)                           [Wilson 1927]
    """
    values = require_values(hits, name)
    n, p = len(values), float(values.mean())
    centre = p + _Z_95**2 / (2 * n)
    half = _Z_95 * math.sqrt(p * (1 - p) / n + _Z_95**2 / (4 * n * n))
    low, high = ((centre - half) / (1 + _Z_95**2 / n), (centre + half) / (1 + _Z_95**2 / n))
    return Score(
        name=name,
        value=p,
        n=n,
        interval=(max(0.0, min(low, p)), min(1.0, max(high, p))),  # rounding aside, as they are
        better="lower",
        caveat=caveat,
        unit="share of clips",
        method="Wilson",
        per_clip=values,
    )


def few(n: int) -> str:
    """Return the sentence, beginning with a space, that small sets get; "" for large ones."""
    if n >= FEW_CLIPS:
        return ""
    if n < FEWEST_CLIPS:
        return f" {n} clips are too few to say anything about others like them."
    return f" {n} clips are few: look at the interval before you compare."


def require_rows(rows: np.ndarray, what: str, *, least: int = 2) -> Rows:
    """Return finite rows in float64.

    Raises:
        InputError: not two-dimensional, fewer than `least` rows, NaN or infinite values.
    """
    if rows.ndim != 2 or len(rows) < least or rows.shape[1] < 1:
        raise InputError(
            f"{what}: an array of shape {rows.shape}; allowed: {least} or more rows, one per clip"
        )
    if not np.isfinite(rows).all():
        raise InputError(f"{what} holds NaN or infinite values")
    return rows.astype(np.float64)


def require_values(values: np.ndarray, what: str) -> Values:
    """Return finite numbers, one per clip, in float64.

    Raises:
        InputError: as `require_rows`.
    """
    flat: Values = require_rows(np.asarray(values).reshape(len(values), -1), what)[:, 0]
    return flat


def require_pairs(one: np.ndarray, other: np.ndarray, what: str) -> tuple[Rows, Rows]:
    """Return two arrays of the same shape, row k of one belonging to row k of the other.

    Raises:
        InputError: as `require_rows`, or the shapes differ.
    """
    if one.shape != other.shape:
        raise InputError(f"{what} needs pairs, got arrays of shapes {one.shape} and {other.shape}")
    return require_rows(one, what), require_rows(other, what)
