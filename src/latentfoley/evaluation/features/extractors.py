"""What is computed from a recording: the features of an embedder, or levels."""

from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from functools import cache, partial
from pathlib import Path
from platform import node
from typing import Any, Protocol

import numpy as np
from jaxtyping import Float64, Int64

from latentfoley.audio import Recording
from latentfoley.errors import InputError, ModelError
from latentfoley.evaluation.embedders import Embedder, Features, find_embedder
from latentfoley.evaluation.features.cache import Arrays
from latentfoley.evaluation.features.preprocess import AudioPreprocessing, Samples
from latentfoley.evaluation.metrics.score import Rows
from latentfoley.levels import Levels, measure

_LEVEL_RULES: dict[str, str | int] = {
    "sample_rate": "own",
    "channels": "mean",
    "silence": "peak -80 dBFS, frames of 10 ms",
    "true_peak": "4 times",
}


@dataclass(frozen=True, eq=False)
class FeatureSet:
    """The features of a set of clips, by one embedder.

    Attributes:
        windows: the rows of every clip.
        logits: one row per clip; None where the embedder has no classes.
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


class Extractor(Protocol):
    """Something that is computed from every clip of a set, several clips at once."""

    @property
    def identity(self) -> tuple[str, str, dict[str, str | int]]:
        """Name, hash of the weights, preprocessing: what decides the result besides the file."""

    def prepare(self, path: Path, recording: Recording) -> Any:
        """Return what is needed of a recording; it is called once per file."""

    def compute(self, paths: Sequence[Path], prepared: Sequence[Any]) -> list[Arrays]:
        """Return the result of several files; it is called from several threads."""

    def opener(self) -> "Callable[[], Extractor]":
        """Return what makes the same extractor in another process, and is small to send there."""


@dataclass(frozen=True)
class FeatureExtractor:
    """An embedder, and the preprocessing that it is used with.

    Attributes:
        spec: what `find_embedder` made the embedder of.
    """

    spec: str
    embedder: Embedder
    preprocessing: AudioPreprocessing

    @property
    def identity(self) -> tuple[str, str, dict[str, str | int]]:
        """See `Extractor`."""
        return self.embedder.name, self.embedder.weights_hash, self.preprocessing.rules

    def prepare(self, path: Path, recording: Recording) -> Samples:
        """Return the samples that the embedder takes."""
        return self.preprocessing.convert(path, recording)

    def compute(self, paths: Sequence[Path], prepared: Sequence[Samples]) -> list[Arrays]:
        """Return the features of several clips as they are cached.

        Raises:
            InputError: an embedder gave no features, or features that are not finite.
        """
        embedded = zip(paths, self.embedder.embed(prepared), strict=True)
        return [self._arrays(path, features) for path, features in embedded]

    def _arrays(self, path: Path, features: Features) -> Arrays:
        if not (len(features.windows) and np.isfinite(features.windows).all()):
            raise InputError(f"{self.embedder.name} gives no finite features of '{path}'")
        arrays = {"windows": features.windows}
        return arrays if features.logits is None else arrays | {"logits": features.logits}

    def opener(self) -> "Callable[[], FeatureExtractor]":
        """Return what finds the embedder again, once in a process.

        It raises ModelError where the embedder has other weights there.
        """
        return partial(_open, self.spec, self.embedder.weights_hash, self.preprocessing)

    def collect(self, found: Sequence[Arrays]) -> FeatureSet:
        """Return the features of a set from those of its clips."""
        logits = [arrays["logits"] for arrays in found if "logits" in arrays]
        return FeatureSet(
            [arrays["windows"] for arrays in found],
            np.stack(logits) if len(logits) == len(found) else None,
            self.embedder.pooled,
        )


def _open(spec: str, weights_hash: str, preprocessing: AudioPreprocessing) -> FeatureExtractor:
    return FeatureExtractor(spec, _find(spec, weights_hash), preprocessing)


@cache
def _find(spec: str, weights_hash: str) -> Embedder:
    embedder = find_embedder(spec)
    if embedder.weights_hash != weights_hash:
        raise ModelError(
            f"the embedder '{spec}' has other weights on {node()} than where the command was given"
        )
    return embedder


class LevelExtractor:
    """Loudness, silence and clipping, at each file's own rate."""

    identity = ("levels", "", _LEVEL_RULES)

    def prepare(self, path: Path, recording: Recording) -> Arrays:
        """Return the levels of a recording as they are cached."""
        levels = measure(recording.waveform, recording.sample_rate)
        return {"levels": np.array(astuple(levels), np.float64)}

    def compute(self, paths: Sequence[Path], prepared: Sequence[Arrays]) -> list[Arrays]:
        """Return what was prepared."""
        return list(prepared)

    def opener(self) -> "Callable[[], LevelExtractor]":
        """Return the class: it has no settings."""
        return LevelExtractor

    def collect(self, found: Sequence[Arrays]) -> list[Levels]:
        """Return the levels of the clips of a set."""
        rows = [arrays["levels"].tolist() for arrays in found]
        return [Levels(a, b, c, bool(d), bool(e)) for a, b, c, d, e in rows]
