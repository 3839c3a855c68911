"""The files that a cache of latents is made of, and whether they still are what was written.

Beside each shard's windows lies a record of what they were made from, how many they are, and a
hash of every file. Records from before hashes were kept have none: then counts are compared.

It does not know how windows are made (`encode.py`) or read (`latents.py`).
"""

import re
from fnmatch import fnmatch
from functools import cache, partial
from pathlib import PurePosixPath

from safetensors import SafetensorError, safe_open

from latentfoley.config import Config
from latentfoley.errors import InputError, RecipeError
from latentfoley.places import Place

_NAME = re.compile(r"latents-\d+-\d+\.safetensors")
_AGAIN = "run the same `latentfoley data encode` again"


class Record(Config):
    """What the windows of a shard were made from, and how many there are.

    Attributes:
        settings: a hash of the cache's settings.
        source: a hash of the shard.
        windows: in each of its files.
        sha256: of each of its files; empty in records from before hashes were kept.
        n_clips, n_held_out, n_silent: as in `CacheInfo`.
    """

    settings: str
    source: str
    windows: tuple[int, ...] = ()
    sha256: tuple[str, ...] = ()
    n_clips: int = 0
    n_held_out: int = 0
    n_silent: int = 0


def record_name(shard: str) -> str:
    """Return where the record of a shard is in a cache, by the shard's name without its suffix."""
    return f"records/{shard}.json"


def read_record(place: Place, shard: str) -> Record | None:
    """Return the record of a shard, None where there is no sound one.

    Raises:
        InputError: a remote place refuses.
    """
    try:
        return Record.model_validate_json(place.read(record_name(shard)) or b"")
    except InputError:
        raise
    except (OSError, ValueError):  # none yet, or of another version: the shard is encoded again
        return None


def windows_name(shard: str, part: int) -> str:
    """Return the name of a file of a shard's windows."""
    return f"latents-{shard.removeprefix('shard-')}-{part:03d}.safetensors"


def windows_names(shard: str, record: Record) -> list[str]:
    """Return the names of the files of a shard's windows."""
    return [windows_name(shard, part) for part in range(len(record.windows))]


def list_windows_files(place: Place) -> list[str]:
    """Return the files of windows in a cache, in order; files of other names are left alone."""
    return [name for name in place.names() if _NAME.fullmatch(name)]


def list_records(place: Place) -> list[str]:
    """Return the shards of which a cache has records."""
    names = [PurePosixPath(name) for name in place.names("records")]
    return [name.stem for name in names if fnmatch(name.name, "shard-*.json")]


def is_whole(place: Place, shard: str, record: Record) -> bool:
    """Return whether the files of a shard's windows are what was written."""
    names = windows_names(shard, record)
    if not all(map(place.has, names)):
        return False
    if record.sha256:
        return all(map(partial(has_hash, place), names, record.sha256))
    return all(map(partial(_has_windows, place), names, record.windows))


def require_files(place: Place) -> dict[str, str]:
    """Return the files of windows of a cache, in order, with the hash that each has to have.

    It is "" of what was written before hashes were kept.

    Raises:
        RecipeError: a file is gone.
        InputError: a remote place refuses.
    """
    there = dict.fromkeys(list_windows_files(place), "")
    for shard in list_records(place):
        record = read_record(place, shard)
        if record is None:
            continue
        names = windows_names(shard, record)
        gone = [name for name in names if name not in there]
        if gone:
            raise RecipeError(f"'{place}' is not whole: {gone[0]} is gone; {_AGAIN}")
        there |= zip(names, record.sha256, strict=False)
    return there


def require_count(place: Place, n_windows: int, n_found: int) -> None:
    """Refuse a cache whose files hold more or fewer windows than it was finished with.

    Raises:
        RecipeError: they do.
    """
    if n_found != n_windows:
        raise RecipeError(
            f"'{place}' is not whole: it was finished with {n_windows} windows and holds "
            f"{n_found}; {_AGAIN}"
        )


def damaged(path: object, why: object) -> RecipeError:
    """Return the error for a file that cannot be trusted."""
    return RecipeError(f"{path} is damaged ({why}); {_AGAIN}")


def not_written(path: object) -> RecipeError:
    """Return the error for a file whose hash is another than it should be."""
    return damaged(path, "its bytes are not those that were written")


def has_hash(place: Place, name: str, sha256: str) -> bool:
    """Return whether a file has a hash; it is read once in a process for each state that it has."""
    return _hash_state(place, name, place.state(name)) == sha256


@cache
def _hash_state(place: Place, name: str, state: tuple[int | str, ...]) -> str:
    return place.hash(name)


def _has_windows(place: Place, name: str, n_windows: int) -> bool:
    try:
        with place.local(name) as path, safe_open(path, "pt") as file:
            return bool(file.get_slice("held_out").get_shape() == [n_windows])
    except (SafetensorError, OSError):
        return False
