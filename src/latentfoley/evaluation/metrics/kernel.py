"""Kernel distances between two sets of embeddings: KID and KAD, both an unbiased MMD².

    MMD² = mean_{i≠j} k(xᵢ, xⱼ) + mean_{i≠j} k(yᵢ, yⱼ) - 2 mean_{ij} k(xᵢ, yⱼ)
                                                                     [Gretton et al. 2012, eq. 3]

Unbiased at any n, hence below zero now and then for sets that agree. Resamples count every clip
with its multiplicity and never pair a clip with itself.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float64

from latentfoley.errors import InputError
from latentfoley.evaluation.metrics.score import (
    Bootstrap,
    Rows,
    Score,
    Values,
    few,
    require_rows,
    spread,
)

Kernel = Callable[[Rows, Rows], Float64[np.ndarray, "N M"]]

KAD_SCALE = 100.0  # KAD is reported times 100


def kid_score(generated: Rows, reference: Rows, *, bootstrap: Bootstrap | None = None) -> Score:
    """Return MMD² under k(x, y) = (x·y / D + 1)³  [Bińkowski et al. 2018], over the whole sets.

    The usual implementations average over random subsets; the whole sets give the same expectation
    with less noise and no choice of subset.
    """
    caveat = "Unbiased; can be negative. Depends on the scale of the embeddings."
    return _score("KID", generated, reference, cubic, 1.0, caveat, bootstrap or Bootstrap())


def kad_score(
    generated: Rows,
    reference: Rows,
    *,
    bandwidth: float | None = None,
    bootstrap: Bootstrap | None = None,
) -> Score:
    """Return 100 · MMD² under k(x, y) = exp(-‖x - y‖² / 2σ²)
    [Chung et al. 2025, arXiv 2502.15602].

    Args:
        generated: embeddings, one row per clip.
        reference: the same of the reference set.
        bandwidth: σ > 0; None takes the median distance between two reference clips.
        bootstrap: how the interval is drawn.

    Raises:
        InputError: a bandwidth that is not positive, also when half of the reference clips are
            copies of each other.
    """
    other = require_rows(reference, "reference embeddings")
    sigma = median_distance(other) if bandwidth is None else bandwidth
    if not (np.isfinite(sigma) and sigma > 0):
        raise InputError(f"KAD: a bandwidth of {sigma}; allowed: above 0 (are the clips copies?)")
    whose = "the median distance between reference clips" if bandwidth is None else "as given"
    caveat = (
        f"Unbiased; can be negative. Bandwidth σ = {sigma:.4g}, {whose}: compare only at "
        "equal σ, and mind that exchanging the sets changes it."
    )
    kernel = gaussian(sigma)
    return _score("KAD", generated, other, kernel, KAD_SCALE, caveat, bootstrap or Bootstrap())


def cubic(x: Rows, y: Rows) -> Float64[np.ndarray, "N M"]:
    """Return (x·y / D + 1)³ of every pair of rows."""
    kernel: Float64[np.ndarray, "N M"] = (x @ y.T / x.shape[1] + 1) ** 3
    return kernel


def gaussian(sigma: float) -> Kernel:
    """Return the kernel exp(-‖x - y‖² / 2σ²)."""

    def kernel(x: Rows, y: Rows) -> Float64[np.ndarray, "N M"]:
        return np.asarray(np.exp(-squared_distances(x, y) / (2 * sigma**2)))

    return kernel


def squared_distances(x: Rows, y: Rows) -> Float64[np.ndarray, "N M"]:
    """Return ‖xᵢ - yⱼ‖² of every pair, never below zero."""
    squares = (x * x).sum(axis=1)[:, None] + (y * y).sum(axis=1) - 2 * x @ y.T
    return np.asarray(np.maximum(squares, 0.0))


def median_distance(rows: Rows) -> float:
    """Return the median of ‖xᵢ - xⱼ‖ over all pairs i < j."""
    upper = np.triu_indices(len(rows), k=1)
    return float(np.median(np.sqrt(squared_distances(rows, rows)[upper])))


def _score(
    name: str,
    generated: Rows,
    reference: Rows,
    kernel: Kernel,
    scale: float,
    caveat: str,
    bootstrap: Bootstrap,
) -> Score:
    x, y = (require_rows(rows, name) for rows in (generated, reference))
    if x.shape[1] != y.shape[1]:
        raise InputError(f"{name}: embeddings of {x.shape[1]} and {y.shape[1]} dimensions")
    k_xx, k_yy, k_xy = kernel(x, x), kernel(y, y), kernel(x, y)

    def mmd(p: Values, q: Values) -> float:
        return scale * (_within(k_xx, p) + _within(k_yy, q) - 2 * float(p @ k_xy @ q))

    def resample(i: np.ndarray, j: np.ndarray) -> float:
        return mmd(_shares(i, len(x)), _shares(j, len(y)))

    value = mmd(np.full(len(x), 1 / len(x)), np.full(len(y), 1 / len(y)))
    return Score(
        name=name,
        value=value,
        n=len(x),
        interval=spread(value, bootstrap.draws(resample, len(x), len(y))),
        better="lower",
        caveat=caveat + few(min(len(x), len(y))),
    )


def _shares(rows: np.ndarray, n: int) -> Values:
    """Return how large a part of a resample each of n clips is."""
    counts: Values = np.bincount(rows, minlength=n) / len(rows)
    return counts


def _within(kernel: Float64[np.ndarray, "N N"], shares: Values) -> float:
    """Return the mean of the kernel over pairs of different clips."""
    same = float((shares * shares) @ np.diag(kernel))
    return (float(shares @ kernel @ shares) - same) / (1 - float(shares @ shares))
