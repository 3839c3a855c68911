"""Clips → levels and features, through the cache.

One pass over a set serves every extractor. A file is hashed once, and decoded once for the
extractors whose results are not cached. Files that cannot be read are named, and never left out.
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass, field
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from jaxtyping import Float64, Int64

from latentfoley.audio import Recording, read_audio
from latentfoley.errors import AudioFileError, InputError
from latentfoley.evaluation.embedders import Embedder, Features, TextEmbedder
from latentfoley.evaluation.features.cache import Arrays, Cache, cache_key, content_hash
from latentfoley.evaluation.features.preprocess import AudioPreprocessing, Samples
from latentfoley.evaluation.metrics.score import Rows
from latentfoley.evaluation.sets.clips import Clip, ClipSet, require_readable
from latentfoley.levels import Levels, measure
from latentfoley.pools import map_in_threads

_CLIPS_AT_ONCE = 8  # that a thread reads, and an extractor computes from, together: bounds memory
_TEXTS_AT_ONCE = 64  # in a batch, which is as wide as its longest
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


@dataclass(frozen=True)
class FeatureExtractor:
    """An embedder, and the preprocessing that it is used with."""

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

    def collect(self, found: Sequence[Arrays]) -> FeatureSet:
        """Return the features of a set from those of its clips."""
        logits = [arrays["logits"] for arrays in found if "logits" in arrays]
        return FeatureSet(
            [arrays["windows"] for arrays in found],
            np.stack(logits) if len(logits) == len(found) else None,
            self.embedder.pooled,
        )


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

    def collect(self, found: Sequence[Arrays]) -> list[Levels]:
        """Return the levels of the clips of a set."""
        rows = [arrays["levels"].tolist() for arrays in found]
        return [Levels(a, b, c, bool(d), bool(e)) for a, b, c, d, e in rows]


def extract_all(
    clips: ClipSet, extractors: Sequence[FeatureExtractor], cache: Cache
) -> tuple[list[Levels], list[FeatureSet]]:
    """Return the levels of every clip, and the features of the set by each extractor.

    Raises:
        AudioFileError: files that cannot be read.
        InputError: an embedder gave no features, or features that are not finite.
    """
    levels = LevelExtractor()
    of_levels, *of_embedders = _extract(clips, [levels, *extractors], cache)
    collected = zip(extractors, of_embedders, strict=True)
    return levels.collect(of_levels), [one.collect(found) for one, found in collected]


def extract_features(clips: ClipSet, extractor: FeatureExtractor, cache: Cache) -> FeatureSet:
    """Return the features of a set by one extractor.

    Raises:
        AudioFileError, InputError: as `extract_all`.
    """
    return extractor.collect(_extract(clips, [extractor], cache)[0])


def extract_levels(clips: ClipSet, cache: Cache) -> list[Levels]:
    """Return the levels of every clip.

    Raises:
        AudioFileError: files that cannot be read.
    """
    return LevelExtractor().collect(_extract(clips, [LevelExtractor()], cache)[0])


@dataclass(eq=False)
class _OpenedClip:
    """A clip: what was cached of it, and what was prepared of it for the rest."""

    path: Path
    keys: list[str]
    arrays: dict[int, Arrays]
    prepared: dict[int, Any] = field(default_factory=dict)


def _extract(clips: ClipSet, extractors: Sequence[Extractor], cache: Cache) -> list[list[Arrays]]:
    """Return the results of every extractor for every clip.

    Raises:
        AudioFileError: files that cannot be read.
    """
    starts = range(0, len(clips.clips), _CLIPS_AT_ONCE)
    batches = [clips.clips[start : start + _CLIPS_AT_ONCE] for start in starts]
    work = partial(_extract_batch, extractors, cache)
    outcomes = [outcome for batch in map_in_threads(work, batches) for outcome in batch]
    broken = [str(outcome) for outcome in outcomes if isinstance(outcome, AudioFileError)]
    require_readable(clips.source, broken)
    found = [outcome.arrays for outcome in outcomes if isinstance(outcome, _OpenedClip)]
    return [[arrays[k] for arrays in found] for k in range(len(extractors))]


def _extract_batch(
    extractors: Sequence[Extractor], cache: Cache, clips: Sequence[Clip]
) -> list[_OpenedClip | AudioFileError]:
    outcomes = [_open(clip, extractors, cache) for clip in clips]
    for k, extractor in enumerate(extractors):
        new = [one for one in outcomes if isinstance(one, _OpenedClip) and k in one.prepared]
        if not new:
            continue
        computed = extractor.compute([one.path for one in new], [one.prepared[k] for one in new])
        for one, arrays in zip(new, computed, strict=True):
            cache.put(one.keys[k], arrays)
            one.arrays[k] = arrays
            del one.prepared[k]
    return outcomes


def _open(
    clip: Clip, extractors: Sequence[Extractor], cache: Cache
) -> _OpenedClip | AudioFileError:
    """Look a clip up in the cache, and read the file for the extractors that are not cached."""
    try:
        with clip.local() as path:
            content = _hash(path)
            keys = [cache_key(content, *extractor.identity) for extractor in extractors]
            found = [cache.get(key) for key in keys]
            known = {k: one for k, one in enumerate(found) if one}
            opened = _OpenedClip(clip.path, keys, known)
            if len(known) < len(extractors):
                recording = read_audio(path, sample_rate=None)
                for k, extractor in enumerate(extractors):
                    if k not in known:
                        opened.prepared[k] = extractor.prepare(path, recording)
    except AudioFileError as error:
        return error
    return opened


def _hash(path: Path) -> str:
    try:
        return content_hash(path)
    except OSError as error:
        raise AudioFileError(f"'{path}' cannot be opened: {error.strerror or error}") from None


def embed_texts(texts: Sequence[str], embedder: TextEmbedder, cache: Cache) -> Rows:
    """Return one row per text; each text is embedded once, and cached."""
    keys = {text: _text_key(text, embedder) for text in texts}
    found = {text: cache.get(key) for text, key in keys.items()}
    rows = {text: cached["text"] for text, cached in found.items() if cached}
    missing = sorted((text for text in keys if text not in rows), key=len)
    for start in range(0, len(missing), _TEXTS_AT_ONCE):
        some = missing[start : start + _TEXTS_AT_ONCE]
        for text, row in zip(some, embedder.embed_texts(some), strict=True):
            cache.put(keys[text], {"text": row})
            rows[text] = row
    return np.stack([rows[text] for text in texts])


def _text_key(text: str, embedder: TextEmbedder) -> str:
    content = sha256(text.encode()).hexdigest()
    return cache_key(content, embedder.name, embedder.weights_hash, {"of": "text"})
