"""The shards of a data set, and whether they still are what was written.

Beside the shards lies a record of each: what it was made of, what is in it, and a hash. Records
from before hashes were kept have none: then sizes are compared.

It does not know how shards are made (`pack.py`) or what is in them (`shards.py`).
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from latentfoley.config import Config
from latentfoley.data.metadata_index import SkippedFile
from latentfoley.data.shards import AGAIN, PreparedClip, find_shards
from latentfoley.errors import InputError, RecipeError
from latentfoley.places import Place, Where

_RECORD = re.compile(r"shard-\d+\.json")


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


def record_name(index: int) -> str:
    """Return where the record of a shard is in the folder of its data set."""
    return f"records/shard-{index:06d}.json"


def read_record(where: Where, index: int) -> Record | None:
    """Return the record of a shard, None where there is no sound one.

    Raises:
        InputError: a remote place refuses.
    """
    place = Place.of(where)
    try:
        return Record.model_validate_json(place.read(record_name(index)) or b"")
    except InputError:
        raise
    except (OSError, ValueError):  # none yet, or of another version: the shard is made again
        return None


def require_shards(where: Where, n_shards: int) -> list[str]:
    """Return the shards of a data set that was finished with `n_shards`.

    Raises:
        RecipeError: one of them is gone, or there are others.
    """
    place = Place.of(where)
    names = find_shards(place)
    if len(names) == n_shards:
        return names
    records = [name for name in place.names("records") if _RECORD.fullmatch(name)]
    known = [f"{PurePosixPath(name).stem}.tar" for name in records]
    gone = [shard for shard in known if shard not in names and _n_bytes(place, shard)]
    first = f", {gone[0]} is gone" if gone else ""
    raise _not_whole(place, f"{n_shards} shards", f"{len(names)}{first}")


def require_clips(place: Place, n_clips: int, n_found: int) -> None:
    """Refuse shards that hold more or fewer clips than the data set was finished with.

    Raises:
        RecipeError: they do.
    """
    if n_found != n_clips:
        raise _not_whole(place, f"{n_clips} clips", str(n_found))


def _not_whole(place: Place, wanted: str, found: str) -> RecipeError:
    return RecipeError(
        f"'{place}' is not whole: it was finished with {wanted} and holds {found}. "
        f"Run the same `latentfoley data prepare` again, or copy it again"
    )


@contextmanager
def written_shard(place: Place, name: str) -> Iterator[tuple[Path, str]]:
    """Yield a shard on this machine and its hash, after it was compared with its record.

    Raises:
        RecipeError: its bytes are not those that were written.
        InputError: its place refuses.
    """
    record = read_record(place, _index(name))
    with place.local(name) as shard:
        found = Place.of(shard.parent).hash(shard.name)
        if record is not None and not _is(record, shard, found):
            raise RecipeError(
                f"'{shard}' is damaged: its bytes are not those that were written; {AGAIN}"
            )
        yield shard, found


def _is(record: Record, shard: Path, sha256: str) -> bool:
    """Return whether a file is the shard of a record; without a hash in it the size has to do."""
    if record.sha256:
        return record.sha256 == sha256
    return record.n_bytes == shard.stat().st_size


def is_written(record: Record, place: Place, name: str) -> bool:
    """Return whether a shard is what its record says, to the byte."""
    same = record.n_bytes == place.size(name)
    return same and (not record.sha256 or record.sha256 == place.hash(name))


def _index(shard: str) -> int:
    return int(PurePosixPath(shard).stem.removeprefix("shard-"))


def _n_bytes(place: Place, shard: str) -> int:
    record = read_record(place, _index(shard))
    return record.n_bytes if record else 0
