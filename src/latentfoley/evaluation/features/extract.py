"""Clips → levels and features, through the cache.

One pass over a set serves every extractor. A file is hashed once, and decoded once for the
extractors whose results are not cached. Files that cannot be read are named, and never left out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from latentfoley.audio import read_audio
from latentfoley.errors import AudioFileError
from latentfoley.evaluation.embedders import TextEmbedder
from latentfoley.evaluation.features.cache import Arrays, Cache, cache_key, content_hash
from latentfoley.evaluation.features.extractors import (
    Extractor,
    FeatureExtractor,
    FeatureSet,
    LevelExtractor,
)
from latentfoley.evaluation.metrics.score import Rows
from latentfoley.evaluation.sets.clips import Clip, ClipSet, require_readable
from latentfoley.levels import Levels
from latentfoley.on_ray import map_in_tasks
from latentfoley.pools import compute_on_one_core, map_in_threads

_CLIPS_AT_ONCE = 8  # that a thread reads, and an extractor computes from, together: bounds memory
_TEXTS_AT_ONCE = 64  # in a batch, which is as wide as its longest


def extract_all(
    clips: ClipSet, extractors: Sequence[FeatureExtractor], cache: Cache, *, ray: bool = False
) -> tuple[list[Levels], list[FeatureSet]]:
    """Return the levels of every clip, and the features of the set by each extractor.

    Args:
        clips: the set.
        extractors: one for each embedder.
        cache: where features are looked up and kept.
        ray: on Ray, whose machines find files, weights and the cache at the same paths.

    Raises:
        AudioFileError: files that cannot be read.
        InputError: an embedder gave no features, or features that are not finite.
        ModelError: an embedder has other weights on another machine.
    """
    levels = LevelExtractor()
    of_levels, *of_embedders = _extract(clips, [levels, *extractors], cache, ray)
    collected = zip(extractors, of_embedders, strict=True)
    return levels.collect(of_levels), [one.collect(found) for one, found in collected]


def extract_features(
    clips: ClipSet, extractor: FeatureExtractor, cache: Cache, *, ray: bool = False
) -> FeatureSet:
    """Return the features of a set by one extractor, as `extract_all`.

    Raises:
        AudioFileError, InputError, ModelError: as `extract_all`.
    """
    return extractor.collect(_extract(clips, [extractor], cache, ray)[0])


def extract_levels(clips: ClipSet, cache: Cache, *, ray: bool = False) -> list[Levels]:
    """Return the levels of every clip, as `extract_all`.

    Raises:
        AudioFileError: files that cannot be read.
    """
    return LevelExtractor().collect(_extract(clips, [LevelExtractor()], cache, ray)[0])


@dataclass(eq=False)
class _OpenedClip:
    """A clip: what was cached of it, and what was prepared of it for the rest."""

    path: Path
    keys: list[str]
    arrays: dict[int, Arrays]
    prepared: dict[int, Any] = field(default_factory=dict)


def _extract(
    clips: ClipSet, extractors: Sequence[Extractor], cache: Cache, ray: bool
) -> list[list[Arrays]]:
    """Return the results of every extractor for every clip.

    Raises:
        AudioFileError: files that cannot be read.
    """
    starts = range(0, len(clips.clips), _CLIPS_AT_ONCE)
    batches = [clips.clips[start : start + _CLIPS_AT_ONCE] for start in starts]
    if ray:
        openers = [extractor.opener() for extractor in extractors]
        done = map_in_tasks(partial(_extract_elsewhere, openers, cache), batches)
    else:
        done = map_in_threads(partial(_extract_batch, extractors, cache), batches)
    outcomes = [outcome for batch in done for outcome in batch]
    broken = [str(outcome) for outcome in outcomes if isinstance(outcome, AudioFileError)]
    require_readable(clips.source, broken)
    found = [outcome.arrays for outcome in outcomes if isinstance(outcome, _OpenedClip)]
    return [[arrays[k] for arrays in found] for k in range(len(extractors))]


def _extract_elsewhere(
    openers: Sequence[Callable[[], Extractor]], cache: Cache, clips: Sequence[Clip]
) -> list[_OpenedClip | AudioFileError]:
    """Do in a process of its own what a thread does here, hence with the same bits."""
    compute_on_one_core()
    return _extract_batch([open_extractor() for open_extractor in openers], cache, clips)


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
