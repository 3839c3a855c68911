"""Does a set vary, and does it copy: distances among clips and to the nearest training clip.

Distances are 1 - cosine of embeddings: 0 for the same direction, 2 for the opposite.
"""

import numpy as np
from jaxtyping import Float64

from latentfoley.errors import InputError
from latentfoley.evaluation.metrics.score import (
    Bootstrap,
    Rows,
    Score,
    few,
    mean_score,
    rate_score,
    require_rows,
    spread,
)


def diversity_score(
    embeddings: Rows, *, name: str = "diversity", bootstrap: Bootstrap | None = None
) -> Score:
    """Return the mean distance between two different clips of a set."""
    rows = require_rows(embeddings, "diversity")
    distances, n = cosine_distances(rows, rows), len(rows)

    def mean_of(i: np.ndarray) -> float:
        shares = np.bincount(i, minlength=n) / n
        return float(shares @ distances @ shares) / (1 - float(shares @ shares))

    value = mean_of(np.arange(n))
    return Score(
        name=name,
        value=value,
        n=n,
        interval=spread(value, (bootstrap or Bootstrap()).draws(mean_of, n)),
        better="neither",
        unit="1 - cosine",
        caveat="Noise is diverse too: compare with the same score of the reference set." + few(n),
    )


def nearest_training_score(
    generated: Rows, training: Rows, *, bootstrap: Bootstrap | None = None
) -> Score:
    """Return the mean distance of a generated clip to its nearest training clip."""
    generated, training = _require_same_width(generated, training)
    return mean_score(
        "distance to training",
        cosine_distances(generated, training).min(axis=1),
        better="neither",
        unit="1 - cosine",
        caveat="Falls as the training set grows; near 0 is a copy by this embedder.",
        bootstrap=bootstrap,
    )


def memorisation_rate(generated: Rows, training: Rows) -> Score:
    """Return the share of clips that lie nearer to a training clip than its own neighbour does.

    A clip of the same kind as the training clips but not copied does so about half of the time; a
    set of copies always [the complement of authenticity: Alaa et al. 2022, arXiv 2102.08921].
    """
    generated, training = _require_same_width(generated, training)
    to_training = cosine_distances(generated, training)
    among = cosine_distances(training, training)
    np.fill_diagonal(among, np.inf)
    closest = to_training.argmin(axis=1)
    hits = to_training.min(axis=1) < among.min(axis=1)[closest]
    return rate_score(
        "memorised clips",
        hits.astype(np.float64),
        caveat="About a half for fresh clips of the same kind, 1 for copies. Training clips that "
        "are copies of each other hide copying.",
    )


def cosine_distances(one: Rows, other: Rows) -> Float64[np.ndarray, "N M"]:
    """Return 1 - cosine of every pair of rows."""
    a, b = (_directions(rows) for rows in (one, other))
    return np.asarray(np.clip(1 - a @ b.T, 0.0, 2.0))


def _directions(rows: Rows) -> Rows:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    if not lengths.all():
        raise InputError("an embedding of zeros has no direction")
    return np.asarray(rows / lengths)


def _require_same_width(generated: Rows, training: Rows) -> tuple[Rows, Rows]:
    one = require_rows(generated, "generated embeddings")
    other = require_rows(training, "training embeddings")
    if one.shape[1] != other.shape[1]:
        raise InputError(f"embeddings of {one.shape[1]} and {other.shape[1]} dimensions")
    return one, other
