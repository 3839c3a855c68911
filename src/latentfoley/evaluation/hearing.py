"""Clips → features and levels, through the cache; broken files are named, never left out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from jaxtyping import Float64, Int64

from latentfoley.audio import read_audio
from latentfoley.errors import AudioFileError, InputError
from latentfoley.evaluation.cache import Arrays, Cache, cache_key, content_hash
from latentfoley.evaluation.clips import Clip, require_readable
from latentfoley.evaluation.embedders import Embedder, Features
from latentfoley.evaluation.level import Levels, measure
from latentfoley.evaluation.reading import Reading, Samples
from latentfoley.evaluation.score import Rows
from latentfoley.evaluation.threads import in_threads

Read = TypeVar("Read")

_AT_ONCE = 8  # clips that a thread reads, and an embedder hears, together: bounds memory
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

    def compute(paths: Sequence[Path], waveforms: Sequence[Samples]) -> list[Arrays]:
        heard = zip(paths, embedder.embed(waveforms), strict=True)
        return [_plain(features, embedder, path) for path, features in heard]

    identity = (embedder.name, embedder.weights_hash, reading.rules)
    found = _each(source, clips, reading.read, compute, identity, cache)
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

    def read(path: Path) -> Arrays:
        recording = read_audio(path, sample_rate=None)
        levels = measure(recording.waveform, recording.sample_rate)
        return {"levels": np.array([levels.loudness_lufs, levels.silent, levels.clipped])}

    def as_it_is(paths: Sequence[Path], levels: Sequence[Arrays]) -> list[Arrays]:
        return list(levels)

    found = _each(source, clips, read, as_it_is, ("levels", "", _LEVEL_RULES), cache)
    rows = [arrays["levels"] for arrays in found]
    return [Levels(float(row[0]), bool(row[1]), bool(row[2])) for row in rows]


def _plain(features: Features, embedder: Embedder, path: Path) -> Arrays:
    """Return features as they are cached.

    Raises:
        InputError: they are not finite, or none.
    """
    if not (len(features.windows) and np.isfinite(features.windows).all()):
        raise InputError(f"{embedder.name} gives no finite features of '{path}'")
    arrays = {"windows": features.windows}
    return arrays if features.logits is None else arrays | {"logits": features.logits}


def _each(
    source: Path,
    clips: Sequence[Clip],
    read: Callable[[Path], Read],
    compute: Callable[[Sequence[Path], Sequence[Read]], list[Arrays]],
    identity: tuple[str, str, dict[str, str | int]],
    cache: Cache,
) -> list[Arrays]:
    """Return what `compute` gives for every clip, from the cache where it is there."""

    def work(some: Sequence[Clip]) -> list[Arrays | AudioFileError]:
        found: dict[int, Arrays | AudioFileError] = {}
        fresh: list[tuple[int, str, Path, Read]] = []
        for k, clip in enumerate(some):
            try:
                key = cache_key(_content(clip.path), *identity)
                known = cache.get(key)
                if known is None:
                    fresh.append((k, key, clip.path, read(clip.path)))
                else:
                    found[k] = known
            except AudioFileError as error:
                found[k] = error
        if fresh:
            numbers, keys, paths, waveforms = zip(*fresh, strict=True)
            for k, key, arrays in zip(numbers, keys, compute(paths, waveforms), strict=True):
                cache.put(key, arrays)
                found[k] = arrays
        return [found[k] for k in range(len(some))]

    batches = [clips[i : i + _AT_ONCE] for i in range(0, len(clips), _AT_ONCE)]
    outcomes = [outcome for batch in in_threads(work, batches) for outcome in batch]
    require_readable(source, [str(one) for one in outcomes if isinstance(one, AudioFileError)])
    return [one for one in outcomes if not isinstance(one, AudioFileError)]


def _content(path: Path) -> str:
    try:
        return content_hash(path)
    except OSError as error:
        raise AudioFileError(f"'{path}' cannot be opened: {error.strerror or error}") from None
