"""The shards of a data set, and whether they still are what was written.

Beside the shards lies a record of each: what it was made of, what is in it, and a hash. Records
from before hashes were kept have none: then sizes are compared.

It does not know how shards are made (`pack.py`) or what is in them (`shards.py`).
"""

from hashlib import file_digest
from pathlib import Path

from latentfoley.config import Config
from latentfoley.data.metadata_index import SkippedFile
from latentfoley.data.shards import AGAIN, PreparedClip, find_shards
from latentfoley.errors import RecipeError


class Record(Config):
    """What a shard was made of, and what is in it.

    Attributes:
        inputs: a hash of the recordings (by name, size and time), what is known of them, and the
            settings.
        n_bytes: size of the shard; 0 where it has no clips and therefore no file.
        sha256: of the shard; "" without a file, and in records from before hashes were kept.
    """

    inputs: str
    n_bytes: int
    sha256: str = ""
    clips: tuple[PreparedClip, ...]
    skipped: tuple[SkippedFile, ...]


def record_path(out: Path, index: int) -> Path:
    """Return where the record of a shard is."""
    return out / "records" / f"shard-{index:06d}.json"


def read_record(out: Path, index: int) -> Record | None:
    """Return the record of a shard, None where there is no sound one."""
    try:
        text = record_path(out, index).read_text(encoding="utf-8")
        return Record.model_validate_json(text)
    except (OSError, ValueError):  # none yet, or of another version: the shard is made again
        return None


def require_shards(folder: Path, n_shards: int) -> list[Path]:
    """Return the shards of a data set that was finished with `n_shards`.

    Raises:
        RecipeError: one of them is gone, or there are others.
    """
    paths = find_shards(folder)
    if len(paths) == n_shards:
        return paths
    records = (folder / "records").glob("shard-*.json")
    known = sorted(folder / f"{record.stem}.tar" for record in records)
    gone = [path.name for path in known if not path.is_file() and _n_bytes(path)]
    first = f", {gone[0]} is gone" if gone else ""
    raise _not_whole(folder, f"{n_shards} shards", f"{len(paths)}{first}")


def require_clips(folder: Path, n_clips: int, n_found: int) -> None:
    """Refuse shards that hold more or fewer clips than the data set was finished with.

    Raises:
        RecipeError: they do.
    """
    if n_found != n_clips:
        raise _not_whole(folder, f"{n_clips} clips", str(n_found))


def _not_whole(folder: Path, wanted: str, found: str) -> RecipeError:
    return RecipeError(
        f"'{folder}' is not whole: it was finished with {wanted} and holds {found}. "
        f"Run the same `latentfoley data prepare` again, or copy it again"
    )


def require_written(shard: Path) -> str:
    """Return the hash of a shard, after it was compared with its record.

    Raises:
        RecipeError: its bytes are not those that were written.
    """
    record, found = read_record(shard.parent, _index(shard)), hash_of(shard)
    if record is None or found == record.sha256:
        return found
    if record.sha256 or record.n_bytes != size_of(shard):
        raise RecipeError(
            f"'{shard}' is damaged: its bytes are not those that were written; {AGAIN}"
        )
    return found


def is_written(record: Record, shard: Path) -> bool:
    """Return whether a shard is what its record says, to the byte."""
    same = record.n_bytes == size_of(shard)
    return same and (not record.sha256 or record.sha256 == hash_of(shard))


def _index(shard: Path) -> int:
    return int(shard.stem.removeprefix("shard-"))


def _n_bytes(shard: Path) -> int:
    record = read_record(shard.parent, _index(shard))
    return record.n_bytes if record else 0


def hash_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def size_of(path: Path) -> int:
    """Return the bytes of a file, 0 where there is none."""
    return path.stat().st_size if path.is_file() else 0
