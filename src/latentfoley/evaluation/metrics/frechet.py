"""Fréchet distance between two sets of embeddings: FD on PANNs, FAD on VGGish, on CLAP, on any.

    d² = ‖μ₁ - μ₂‖² + tr Σ₁ + tr Σ₂ - 2 tr (Σ₁ Σ₂)^½      [Dowson & Landau 1982; Heusel et al. 2017]

The last term needs no matrix square root. With Σᵢ = Aᵢᵀ Aᵢ the eigenvalues of Σ₁ Σ₂ are the squares
of the singular values of A₁ A₂ᵀ, so

    tr (Σ₁ Σ₂)^½ = ‖A₁ A₂ᵀ‖_*   (the sum of the singular values)

which is real and not negative whatever the rank: no complex parts to drop, nothing to add to a
diagonal. Aᵢ are the centred rows over √(n-1), or their R factor where there are more rows than
dimensions.

Where many distances are averaged (intervals, the extrapolation), the squares of those singular
values serve: the eigenvalues of A₁ Σ₂ A₁ᵀ or A₂ Σ₁ A₂ᵀ, whichever is smaller. That takes a quarter
of the time and half of the digits. A resample holds about 63 % of the clips; those that it repeats
are counted instead of copied, which leaves Σ as it is and A shorter.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float64, Int64

from latentfoley.errors import InputError
from latentfoley.evaluation.metrics.score import (
    Bootstrap,
    Rows,
    Score,
    few,
    mean_score,
    normal_spread,
    require_rows,
)

Mean = Float64[np.ndarray, "D"]
Root = Float64[np.ndarray, "K D"]
Places = Int64[np.ndarray, "N"]
Counts = Int64[np.ndarray, "M"]

_STEPS = 10  # subset sizes of the extrapolation
_QUICK_STEPS = 3  # the same for every resample of the interval
_REPEATS = 3  # subsets of each size, averaged
_MOST_DRAWS = 40  # each costs a decomposition: their standard deviation is used, not quantiles


def frechet_distance(generated: Rows, reference: Rows) -> float:
    """Return d² between the Gaussians fitted to two sets of rows (covariance over n - 1).

    Raises:
        InputError: fewer than two rows in a set, other widths, values that are not finite.

    Example:
        >>> square = np.array([[0.0, 0.0], [0.0, 2.0], [2.0, 0.0], [2.0, 2.0]])
        >>> round(frechet_distance(square, square + 3.0), 6)
        18.0
    """
    one, other = _require_sets(generated, reference)
    return _distance(one, other)


def frechet_score(
    generated: Rows, reference: Rows, *, name: str = "FD", bootstrap: Bootstrap | None = None
) -> Score:
    """Return the Fréchet distance with the spread over resamples of both sets."""
    one, other = _require_sets(generated, reference)
    value = _distance(one, other)
    draws = _few_draws(bootstrap).draws(
        lambda i, j: _by_eigenvalues(*_counted(one, i), *_moments(*_counted(other, j))),
        len(one),
        len(other),
    )
    interval = normal_spread(value, draws)
    bias = float(draws.mean()) - value if len(draws) else 0.0
    return Score(
        name=name,
        value=value,
        n=len(one),
        interval=interval and (max(0.0, interval[0]), interval[1]),
        better="lower",
        caveat=_bias(one, other, bias),
    )


def frechet_infinity(
    generated: Rows, reference: Rows, *, name: str = "FD∞", bootstrap: Bootstrap | None = None
) -> Score:
    """Return the Fréchet distance extrapolated to endlessly many generated clips.

    Its bias falls as 1/n: a line through the distances of subsets of several sizes against 1/n is
    read off at 0 [Chong & Forsyth 2020; for sound Gui et al. 2023, arXiv 2311.01616]. Subsets are
    drawn without replacement and from the seed; the reference set stays whole. The lines of the
    interval go through fewer points, which makes it a little too wide.

    Raises:
        InputError: fewer than 20 generated clips.
    """
    one, other = _require_sets(generated, reference)
    if len(one) < 20:
        raise InputError(f"{name} needs 20 generated clips or more to extrapolate, got {len(one)}")
    boot = _few_draws(bootstrap)
    whole = np.arange(len(one))
    value = _extrapolate(one, whole, _moments(other), _STEPS, _REPEATS, boot.seed)
    draws = boot.draws(
        lambda i, j: _extrapolate(
            one, i, _moments(*_counted(other, j)), _QUICK_STEPS, 1, boot.seed
        ),
        len(one),
        len(other),
    )
    return Score(
        name=name,
        value=value,
        n=len(one),
        interval=normal_spread(value, draws),
        better="lower",
        caveat="Takes out the bias of the generated set to first order, not that of the reference "
        f"set; can be negative.{few(len(one))}",
    )


def frechet_per_clip(
    clips: Sequence[Rows],
    reference: Rows,
    *,
    name: str = "FD per clip",
    bootstrap: Bootstrap | None = None,
) -> Score:
    """Return the distance of every clip by itself to the reference set, and their mean.

    A clip with one row has no covariance: its distance is ‖x - μ‖² + tr Σ. Use it to rank clips
    [per-song FAD: Gui et al. 2023, §3], not to compare sets: a set of copies of μ would do best.

    Args:
        clips: the rows of each clip, one per window.
    """
    other = require_rows(reference, f"{name}, reference")
    mean, root = _moments(other)
    rows = [require_rows(windows, name, least=1) for windows in clips]
    distances = np.array([_between(windows, mean, root) for windows in rows])
    return mean_score(
        name,
        distances,
        better="lower",
        caveat="Ranks clips; as a mean it rewards clips that are all alike.",
        bootstrap=bootstrap,
    )


def _few_draws(bootstrap: Bootstrap | None) -> Bootstrap:
    boot = bootstrap or Bootstrap()
    return replace(boot, resamples=min(boot.resamples, _MOST_DRAWS))


def _require_sets(generated: Rows, reference: Rows) -> tuple[Rows, Rows]:
    one = require_rows(generated, "generated embeddings")
    other = require_rows(reference, "reference embeddings")
    if one.shape[1] != other.shape[1]:
        raise InputError(
            f"embeddings of {one.shape[1]} and {other.shape[1]} dimensions cannot be compared"
        )
    return one, other


def _distance(one: Rows, other: Rows) -> float:
    return _between(one, *_moments(other))


def _counted(rows: Rows, drawn: Places) -> tuple[Rows, Counts]:
    """Return the different rows of a resample, and how often each was drawn."""
    places, counts = np.unique(drawn, return_counts=True)
    return rows[places], counts


def _moments(rows: Rows, counts: Counts | None = None) -> tuple[Mean, Root]:
    """Return μ, and A with Aᵀ A = Σ, of at most D rows."""
    mean, centred = _centred(rows, counts)
    if len(rows) <= rows.shape[1]:
        return mean, centred
    return mean, np.asarray(np.linalg.qr(centred, mode="r"))


def _centred(rows: Rows, counts: Counts | None) -> tuple[Mean, Root]:
    shares = np.ones(len(rows)) if counts is None else counts
    n = int(shares.sum())
    mean: Mean = shares @ rows / n
    return mean, (rows - mean) * np.sqrt(shares / max(1, n - 1))[:, None]


def _between(one: Rows, mean: Mean, b: Root) -> float:
    """Return d² to a set whose mean and root are known, because subsets share their reference."""
    own_mean, a = _moments(one)
    # One row has no covariance, and nothing to decompose.
    overlap = float(np.linalg.svd(a @ b.T, compute_uv=False).sum()) if len(one) > 1 else 0.0
    return _squared(own_mean - mean, a, b, overlap)


def _by_eigenvalues(one: Rows, counts: Counts, mean: Mean, b: Root) -> float:
    """Return the same to about 10⁻⁷ of the traces."""
    own_mean, a = _centred(one, counts)
    product = b @ a.T
    gram = product @ product.T if len(b) <= len(one) else product.T @ product
    # Centring takes a rank from either set: eigenvalues beyond it are rounding, and their roots
    # would not be small.
    rank = min(len(one) - 1, len(b), len(gram))
    overlap = float(np.sqrt(np.maximum(np.linalg.eigvalsh(gram)[-rank:], 0.0)).sum())
    return _squared(own_mean - mean, a, b, overlap)


def _squared(shift: Mean, a: Root, b: Root, overlap: float) -> float:
    traces = float(np.vdot(a, a) + np.vdot(b, b))
    return max(0.0, float(shift @ shift) + traces - 2 * overlap)


def _extrapolate(
    one: Rows, drawn: Places, moments: tuple[Mean, Root], steps: int, repeats: int, seed: int
) -> float:
    """Return the intercept of the distance of subsets of a resample against 1 / their size."""
    rng = np.random.default_rng(seed)
    sizes = np.linspace(max(10, len(drawn) // 5), len(drawn), steps).round().astype(int)

    def at(size: int) -> float:
        subsets = [rng.permutation(drawn)[:size] for _ in range(repeats)]
        return float(np.mean([_by_eigenvalues(*_counted(one, rows), *moments) for rows in subsets]))

    distances = [at(int(size)) for size in sizes]
    return float(np.polyfit(1 / sizes, distances, 1)[1])


def _bias(one: Rows, other: Rows, bias: float) -> str:
    n, width = min(len(one), len(other)), one.shape[1]
    rank = f" The covariances have rank {n - 1} of {width} at most." if n <= width else ""
    size = f", by about {bias:.3g} here, by the bootstrap" if bias > 0 else ""
    return f"Biased upwards, more so with fewer clips{size}; compare only at equal n.{rank}{few(n)}"
