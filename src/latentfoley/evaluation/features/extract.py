"""Clips → features and levels, through the cache."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64

from latentfoley.audio import Recording
from latentfoley.errors import InputError
from latentfoley.evaluation.embedders import Embedder, Features
from latentfoley.evaluation.features.cache import Arrays, Cache
from latentfoley.evaluation.features.listeners import Listener, listen
from latentfoley.evaluation.features.preprocess import Reading, Samples
from latentfoley.evaluation.metrics.loudness import Levels, measure
from latentfoley.evaluation.metrics.score import Rows
from latentfoley.evaluation.sets.clips import Clip

_LEVEL_RULES: dict[str, str | int] = {"sample_rate": "own", "channels": "mean"}


@dataclass(frozen=True, eq=False)
class Heard:
    """A set through the ears of one embedder.

    Attributes:
        windows: the rows of every clip.
        logits: one row per clip; None where the embedder knows no classes.
        pooled: whether `rows` are all windows instead of one mean per clip.
    """

    windows: Sequence[Float64[np.ndarray, "W D"]]
    logits: Float64[np.ndarray, "N K"] | None
    pooled: bool

    @property
    def per_clip(self) -> Rows:
        """One row per clip: the mean of its windows."""
        return np.stack([rows.mean(axis=0) for rows in self.windows])

    @property
    def owners(self) -> Int64[np.ndarray, "N"]:
        """The clip of every row of `rows`."""
        lengths = [len(rows) if self.pooled else 1 for rows in self.windows]
        return np.repeat(np.arange(len(lengths)), lengths)

    @property
    def rows(self) -> Rows:
        """The rows that a distance between sets is computed from."""
        return np.concatenate(self.windows) if self.pooled else self.per_clip


def hear_all(
    source: Path, clips: Sequence[Clip], ears: Sequence[tuple[Embedder, Reading]], cache: Cache
) -> tuple[list[Levels], list[Heard]]:
    """Return the levels of every clip, and its features through each of several embedders.

    Raises:
        AudioFileError: files that cannot be read.
        InputError: an embedder gave features that are not finite, or none.
    """
    listeners = [_LEVELS, *(_through(embedder, reading) for embedder, reading in ears)]
    levels, *features = listen(source, clips, listeners, cache)
    each = zip(features, ears, strict=True)
    return _as_levels(levels), [_as_heard(found, embedder) for found, (embedder, _) in each]


def hear(
    source: Path, clips: Sequence[Clip], embedder: Embedder, reading: Reading, cache: Cache
) -> Heard:
    """Return the features of every clip.

    Raises:
        AudioFileError, InputError: as `hear_all`.
    """
    (found,) = listen(source, clips, [_through(embedder, reading)], cache)
    return _as_heard(found, embedder)


def hear_levels(source: Path, clips: Sequence[Clip], cache: Cache) -> list[Levels]:
    """Return the levels of every clip, at its own rate.

    Raises:
        AudioFileError: files that cannot be read.
    """
    (found,) = listen(source, clips, [_LEVELS], cache)
    return _as_levels(found)


def _through(embedder: Embedder, reading: Reading) -> Listener:
    identity = (embedder.name, embedder.weights_hash, reading.rules)
    return Listener(identity, reading.convert, partial(_embedded, embedder))


def _embedded(
    embedder: Embedder, paths: Sequence[Path], waveforms: Sequence[Samples]
) -> list[Arrays]:
    heard = zip(paths, embedder.embed(waveforms), strict=True)
    return [_plain(features, embedder, path) for path, features in heard]


def _plain(features: Features, embedder: Embedder, path: Path) -> Arrays:
    """Return features as they are cached.

    Raises:
        InputError: they are not finite, or none.
    """
    if not (len(features.windows) and np.isfinite(features.windows).all()):
        raise InputError(f"{embedder.name} gives no finite features of '{path}'")
    arrays = {"windows": features.windows}
    return arrays if features.logits is None else arrays | {"logits": features.logits}


def _as_heard(found: Sequence[Arrays], embedder: Embedder) -> Heard:
    logits = [arrays["logits"] for arrays in found if "logits" in arrays]
    return Heard(
        [arrays["windows"] for arrays in found],
        np.stack(logits) if len(logits) == len(found) else None,
        embedder.pooled,
    )


def _measured(_: Path, recording: Recording) -> Arrays:
    levels = measure(recording.waveform, recording.sample_rate)
    return {"levels": np.array([levels.loudness_lufs, levels.silent, levels.clipped])}


def _as_levels(found: Sequence[Arrays]) -> list[Levels]:
    rows = [arrays["levels"] for arrays in found]
    return [Levels(float(row[0]), bool(row[1]), bool(row[2])) for row in rows]


_LEVELS = Listener(("levels", "", _LEVEL_RULES), _measured, lambda _, measured: list(measured))
