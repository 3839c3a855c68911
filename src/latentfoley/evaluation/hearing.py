"""Clips → features and levels, through the cache; broken files are named, never left out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64

from latentfoley.audio import read_audio
from latentfoley.errors import AudioFileError, InputError
from latentfoley.evaluation.cache import Arrays, Cache, cache_key, content_hash
from latentfoley.evaluation.clips import Clip, require_readable
from latentfoley.evaluation.embedders import Embedder
from latentfoley.evaluation.level import Levels, measure
from latentfoley.evaluation.reading import Reading
from latentfoley.evaluation.score import Rows

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


def hear(
    source: Path, clips: Sequence[Clip], embedder: Embedder, reading: Reading, cache: Cache
) -> Heard:
    """Return the features of every clip.

    Raises:
        AudioFileError: files that cannot be read.
        InputError: an embedder gave features that are not finite, or none.
    """

    def compute(path: Path) -> Arrays:
        features = embedder.embed(reading.read(path))
        if not (len(features.windows) and np.isfinite(features.windows).all()):
            raise InputError(f"{embedder.name} gives no finite features of '{path}'")
        arrays = {"windows": features.windows}
        return arrays if features.logits is None else arrays | {"logits": features.logits}

    identity = (embedder.name, embedder.weights_hash, reading.rules)
    found = _each(source, clips, compute, identity, cache)
    logits = [arrays["logits"] for arrays in found if "logits" in arrays]
    return Heard(
        [arrays["windows"] for arrays in found],
        np.stack(logits) if len(logits) == len(found) else None,
        embedder.pooled,
    )


def hear_levels(source: Path, clips: Sequence[Clip], cache: Cache) -> list[Levels]:
    """Return the levels of every clip, at its own rate.

    Raises:
        AudioFileError: files that cannot be read.
    """

    def compute(path: Path) -> Arrays:
        recording = read_audio(path, sample_rate=None)
        levels = measure(recording.waveform, recording.sample_rate)
        return {"levels": np.array([levels.loudness_lufs, levels.silent, levels.clipped])}

    found = _each(source, clips, compute, ("levels", "", _LEVEL_RULES), cache)
    rows = [arrays["levels"] for arrays in found]
    return [Levels(float(row[0]), bool(row[1]), bool(row[2])) for row in rows]


def _each(
    source: Path,
    clips: Sequence[Clip],
    compute: Callable[[Path], Arrays],
    identity: tuple[str, str, dict[str, str | int]],
    cache: Cache,
) -> list[Arrays]:
    """Return what `compute` gives for every clip, from the cache where it is there."""
    found, broken = [], []
    for clip in clips:
        try:
            key = cache_key(_content(clip.path), *identity)
            arrays = cache.get(key)
            if arrays is None:
                arrays = compute(clip.path)
                cache.put(key, arrays)
            found.append(arrays)
        except AudioFileError as error:
            broken.append(str(error))
    require_readable(source, broken)
    return found


def _content(path: Path) -> str:
    try:
        return content_hash(path)
    except OSError as error:
        raise AudioFileError(f"'{path}' cannot be opened: {error.strerror or error}") from None
