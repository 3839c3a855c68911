"""CLAP score: the cosine between a sound and its caption, or between a sound and its reference."""

import numpy as np

from latentfoley.errors import InputError
from latentfoley.evaluation.metrics.score import (
    Bootstrap,
    Rows,
    Score,
    Values,
    mean_score,
    require_pairs,
)


def clap_score(sounds: Rows, texts: Rows, *, bootstrap: Bootstrap | None = None) -> Score:
    """Return the mean cosine between sound k and text k, from -1 to 1.

    Args:
        sounds: embeddings of the generated clips.
        texts: embeddings of their captions by the same CLAP, in the same order.
        bootstrap: how the interval is drawn.

    Raises:
        InputError: shapes that differ, or an embedding of zeros.
    """
    return mean_score(
        "CLAP score",
        cosines(sounds, texts),
        better="higher",
        unit="cosine",
        caveat="Comparable only with the very same CLAP weights. A model that was trained or "
        "guided with a CLAP scores well on it; agreement with listeners is weak.",
        bootstrap=bootstrap,
    )


def clap_similarity(
    generated: Rows, reference: Rows, *, bootstrap: Bootstrap | None = None
) -> Score:
    """Return the mean cosine between generated clip k and reference clip k, from -1 to 1."""
    return mean_score(
        "CLAP audio-audio",
        cosines(generated, reference),
        better="higher",
        unit="cosine",
        caveat="Comparable only with the very same CLAP weights; 1 is a copy of the reference.",
        bootstrap=bootstrap,
    )


def cosines(one: Rows, other: Rows) -> Values:
    """Return the cosine of every pair of rows."""
    a, b = require_pairs(one, other, "a cosine")
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    if not lengths.all():
        raise InputError("an embedding of zeros has no direction")
    return np.asarray(np.clip((a * b).sum(axis=1) / lengths, -1.0, 1.0))
