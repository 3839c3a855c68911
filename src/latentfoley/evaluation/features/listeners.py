"""One pass over a set for everyone who listens; broken files are named, never left out.

A file is hashed once, and decoded once for those who do not know it yet.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from latentfoley.audio import Recording, read_audio
from latentfoley.errors import AudioFileError
from latentfoley.evaluation.features.cache import Arrays, Cache, cache_key, content_hash
from latentfoley.evaluation.features.threads import in_threads
from latentfoley.evaluation.sets.clips import Clip, require_readable

_AT_ONCE = 8  # clips that a thread reads, and a listener computes from, together: bounds memory


@dataclass(frozen=True)
class Listener:
    """Someone who takes what it needs of a recording, and computes from several at once.

    Attributes:
        identity: name, hash of the weights and rules of reading: what the result depends on besides
            the content of the file.
        take: of a recording of the file as it is; called once per file.
        compute: from what was taken of several files; called from several threads.
    """

    identity: tuple[str, str, dict[str, str | int]]
    take: Callable[[Path, Recording], Any]
    compute: Callable[[Sequence[Path], Sequence[Any]], list[Arrays]]


@dataclass(eq=False)
class _Opened:
    """A clip on its way: what the cache knew of it, and what was taken of it for the rest."""

    path: Path
    keys: list[str]
    arrays: dict[int, Arrays]
    taken: dict[int, Any] = field(default_factory=dict)


def listen(
    source: Path, clips: Sequence[Clip], listeners: Sequence[Listener], cache: Cache
) -> list[list[Arrays]]:
    """Return what every listener makes of every clip, from the cache where it is there.

    Raises:
        AudioFileError: files that cannot be read.
    """
    batches = [clips[i : i + _AT_ONCE] for i in range(0, len(clips), _AT_ONCE)]
    work = partial(_batch, listeners, cache)
    outcomes = [outcome for batch in in_threads(work, batches) for outcome in batch]
    require_readable(source, [str(one) for one in outcomes if isinstance(one, AudioFileError)])
    heard = [one.arrays for one in outcomes if isinstance(one, _Opened)]
    return [[arrays[k] for arrays in heard] for k in range(len(listeners))]


def _batch(
    listeners: Sequence[Listener], cache: Cache, clips: Sequence[Clip]
) -> list[_Opened | AudioFileError]:
    outcomes = [_open(clip.path, listeners, cache) for clip in clips]
    for k, listener in enumerate(listeners):
        fresh = [one for one in outcomes if isinstance(one, _Opened) and k in one.taken]
        if not fresh:
            continue
        computed = listener.compute([one.path for one in fresh], [one.taken[k] for one in fresh])
        for one, arrays in zip(fresh, computed, strict=True):
            cache.put(one.keys[k], arrays)
            one.arrays[k] = arrays
            del one.taken[k]
    return outcomes


def _open(path: Path, listeners: Sequence[Listener], cache: Cache) -> _Opened | AudioFileError:
    """Ask the cache for every listener, and read the file for those it does not know."""
    try:
        content = _content(path)
        keys = [cache_key(content, *listener.identity) for listener in listeners]
        found = [cache.get(key) for key in keys]
        opened = _Opened(path, keys, {k: known for k, known in enumerate(found) if known})
        if len(opened.arrays) < len(listeners):
            recording = read_audio(path, sample_rate=None)
            for k, listener in enumerate(listeners):
                if k not in opened.arrays:
                    opened.taken[k] = listener.take(path, recording)
    except AudioFileError as error:
        return error
    return opened


def _content(path: Path) -> str:
    try:
        return content_hash(path)
    except OSError as error:
        raise AudioFileError(f"'{path}' cannot be opened: {error.strerror or error}") from None
