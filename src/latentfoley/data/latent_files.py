"""The files that a cache of latents is made of, and whether they still are what was written.

Beside each shard's windows lies a record of what they were made from, how many they are, and a
hash of every file. Records from before hashes were kept have none: then counts are compared.

It does not know how windows are made (`encode.py`) or read (`latents.py`).
"""

import re
from functools import cache
from hashlib import file_digest
from pathlib import Path

from safetensors import SafetensorError, safe_open

from latentfoley.config import Config
from latentfoley.errors import RecipeError

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


def record_path(folder: Path, shard: str) -> Path:
    """Return where the record of a shard is, by the shard's name without its suffix."""
    return folder / "records" / f"{shard}.json"


def read_record(folder: Path, shard: str) -> Record | None:
    """Return the record of a shard, None where there is no sound one."""
    try:
        return Record.model_validate_json(record_path(folder, shard).read_text(encoding="utf-8"))
    except (OSError, ValueError):  # none yet, or of another version: the shard is encoded again
        return None


def windows_path(folder: Path, shard: str, part: int) -> Path:
    """Return where a file of a shard's windows is."""
    return folder / f"latents-{shard.removeprefix('shard-')}-{part:03d}.safetensors"


def windows_paths(folder: Path, shard: str, record: Record) -> list[Path]:
    """Return where the files of a shard's windows are."""
    return [windows_path(folder, shard, part) for part in range(len(record.windows))]


def list_windows_files(folder: Path) -> list[Path]:
    """Return the files of windows in a folder, in order; files of other names are left alone."""
    return sorted(p for p in folder.glob("latents-*.safetensors") if _NAME.fullmatch(p.name))


def is_whole(folder: Path, shard: str, record: Record) -> bool:
    """Return whether the files of a shard's windows are what was written."""
    paths = windows_paths(folder, shard, record)
    if not all(path.is_file() for path in paths):
        return False
    if record.sha256:
        return all(map(_has_hash, paths, record.sha256))
    return all(map(_has_windows, paths, record.windows))


def require_written(folder: Path) -> list[Path]:
    """Return the files of windows of a cache, after each was compared with its record.

    A file is read once for its hash in a process, however often its cache is opened.

    Raises:
        RecipeError: a file is gone, or its bytes are not those that were written.
    """
    for path in sorted((folder / "records").glob("shard-*.json")):
        record = read_record(folder, path.stem)
        if record is None:
            continue
        files = windows_paths(folder, path.stem, record)
        gone = [file.name for file in files if not file.is_file()]
        if gone:
            raise RecipeError(f"'{folder}' is not whole: {gone[0]} is gone; {_AGAIN}")
        for file, sha256 in zip(files, record.sha256, strict=False):
            if not _has_hash(file, sha256):
                raise damaged(file, "its bytes are not those that were written")
    return list_windows_files(folder)


def require_count(folder: Path, n_windows: int, n_found: int) -> None:
    """Refuse a cache whose files hold more or fewer windows than it was finished with.

    Raises:
        RecipeError: they do.
    """
    if n_found != n_windows:
        raise RecipeError(
            f"'{folder}' is not whole: it was finished with {n_windows} windows and holds "
            f"{n_found}; {_AGAIN}"
        )


def damaged(path: Path, why: object) -> RecipeError:
    """Return the error for a file that cannot be trusted."""
    return RecipeError(f"{path} is damaged ({why}); {_AGAIN}")


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file; it is read once for each state (size and time) that it has."""
    state = path.stat()
    return _hash_state(path, state.st_size, state.st_mtime_ns)


@cache
def _hash_state(path: Path, n_bytes: int, mtime_ns: int) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _has_hash(path: Path, sha256: str) -> bool:
    return hash_file(path) == sha256


def _has_windows(path: Path, n_windows: int) -> bool:
    try:
        with safe_open(path, "pt") as file:
            return bool(file.get_slice("held_out").get_shape() == [n_windows])
    except (SafetensorError, OSError):
        return False
