"""Fréchet distance between sets that do not fit in memory: mean and covariance of a stream.

Of each set n, μ and the scatter S = Σ (x - μ)(x - μ)ᵀ are kept, D + D² numbers in fp64 however many
rows come by. Blocks are merged by Chan, Golub & LeVeque (1979):

    δ = μ_b - μ_a,   μ = μ_a + δ n_b/n,   S = S_a + S_b + δ δᵀ n_a n_b/n

which is as exact as two passes. Parts of a set that several machines have seen merge the same way.
Intervals need the rows, and stay with `frechet.py`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from jaxtyping import Float64

from latentfoley.errors import InputError
from latentfoley.evaluation.metrics.score import Rows, require_rows


@dataclass(frozen=True, eq=False)
class Moments:
    """What a Gaussian is fitted to a set with.

    Attributes:
        n: rows.
        mean: μ.
        scatter: S; the covariance is S / (n - 1).
    """

    n: int
    mean: Float64[np.ndarray, "D"] = field(repr=False)
    scatter: Float64[np.ndarray, "D D"] = field(repr=False)

    @classmethod
    def of(cls, blocks: Iterable[Rows]) -> Self:
        """Return the moments of rows that come in blocks, one block in memory at a time.

        Raises:
            InputError: no rows at all, blocks of other widths, or values that are not finite.
        """
        total: Self | None = None
        for block in blocks:
            rows = require_rows(block, "embeddings", least=1)
            mean = rows.mean(axis=0)
            one = cls(len(rows), mean, (rows - mean).T @ (rows - mean))
            total = one if total is None else total.merge(one)
        if total is None:
            raise InputError("a set without rows has no mean")
        return total

    def merge(self, other: Self) -> Self:
        """Return the moments of both sets together.

        Raises:
            InputError: rows of other widths.
        """
        _require_width(self, other)
        n = self.n + other.n
        shift = other.mean - self.mean
        between = np.outer(shift, shift) * (self.n * other.n / n)
        mean = self.mean + shift * (other.n / n)
        return type(self)(n, mean, self.scatter + other.scatter + between)

    @property
    def root(self) -> Float64[np.ndarray, "D D"]:
        """A with Aᵀ A = Σ: what is below zero by rounding is 0."""
        values, vectors = np.linalg.eigh(self.scatter / max(1, self.n - 1))
        root: Float64[np.ndarray, "D D"] = np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T
        return root


def streamed_frechet_distance(generated: Moments, reference: Moments) -> float:
    """Return `frechet_distance` of two sets of which only the moments are known.

    Raises:
        InputError: fewer than two rows in a set, or other widths.

    Example:
        >>> square = np.array([[0.0, 0.0], [0.0, 2.0], [2.0, 0.0], [2.0, 2.0]])
        >>> one, other = Moments.of([square[:1], square[1:]]), Moments.of([square + 3.0])
        >>> round(streamed_frechet_distance(one, other), 6)
        18.0
    """
    _require_width(generated, reference)
    if min(generated.n, reference.n) < 2:
        raise InputError(f"sets of {generated.n} and {reference.n} rows; allowed: 2 or more each")
    a, b = generated.root, reference.root
    overlap = float(np.linalg.svd(a @ b.T, compute_uv=False).sum())
    shift = generated.mean - reference.mean
    traces = float(np.vdot(a, a) + np.vdot(b, b))
    return max(0.0, float(shift @ shift) + traces - 2 * overlap)


def _require_width(one: Moments, other: Moments) -> None:
    if one.mean.shape != other.mean.shape:
        raise InputError(
            f"embeddings of {len(one.mean)} and {len(other.mean)} dimensions do not go together"
        )
