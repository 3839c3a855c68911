"""Some rows of a manifest → their sounds and their results in a place.

    batch.json                     the settings
    shard-000000.tar …             sounds, in WebDataset's form as `data` writes it; or, loose,
    00/00….flac …                  one file each, named by the identity of its samples
    results/part-000000.parquet …  one row a line, failures and reasons among them

The part of the results is written last and says what it was made of: where that still holds, and no
row failed, there is nothing to do. Otherwise sounds that are there by identity are kept, and the
rest is made. It is a function of its chunk alone and does not know about Ray.
"""

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Any, NamedTuple

import soundfile

from latentfoley.cluster.manifest import Row
from latentfoley.cluster.row import FILES, Find, Made, Result, make_rows
from latentfoley.config import Config
from latentfoley.data.pack import clip_key
from latentfoley.data.shards import Encoded, PreparedClip, shard_name, write_tar
from latentfoley.errors import InputError, UserError
from latentfoley.pipeline import Model
from latentfoley.place_names import is_remote
from latentfoley.places import Place
from latentfoley.version import __version__

_METADATA = b"latentfoley"
_NUMBERS = ("duration_s", "score", "loudness_lufs", "true_peak_db", "silent_frames")


class BatchSettings(Config):
    """What the sounds of a place depend on, beside the rows.

    Attributes:
        loading: what `load` takes, but for the device.
        loose: one file for each sound instead of shards.
        rows_per_shard: how many rows are made, and kept, together.
    """

    loading: dict[str, Any]
    loose: bool
    rows_per_shard: int


@dataclass(frozen=True)
class Chunk:
    """Neighbouring rows of a manifest, and the number of their shard."""

    index: int
    rows: tuple[Row, ...]


class Done(NamedTuple):
    """What became of a chunk: how many rows, sounds made now, and rows without a sound."""

    n_rows: int
    n_made: int
    n_failed: int


def make_chunk(model: Model, chunk: Chunk, folder: Path, out: str, settings: BatchSettings) -> Done:
    """Make what is not there of a chunk.

    Args:
        model: loaded by `settings.loading`.
        chunk: the rows.
        folder: that relative paths in them start from.
        out: the place of sounds and results.
        settings: of the batch.

    Raises:
        InputError: the place refuses to be written to.
    """
    place = Place.of(out)
    before, inputs = _read_part(place, chunk.index), _hash_inputs(model, chunk, folder)
    if _is_done(place, before, inputs):
        return Done(len(chunk.rows), 0, 0)
    find = partial(_find_loose, place) if settings.loose else _find_in_shard(place, chunk, before)
    made: list[Made] = []
    try:
        for one in make_rows(model, chunk.rows, folder, find):
            if settings.loose and one.is_new:
                place.write(_loose_name(one.result.identity), one.flac)
            made.append(_placed(one, chunk.index, settings.loose))
        made.sort(key=lambda one: one.result.row)
        if not settings.loose:
            _write_shard(place, chunk, made)
        _write_part(place, chunk.index, inputs, [one.result for one in made])
    except OSError as error:
        raise InputError(
            f"'{out}' cannot be written to: {error.strerror or error}. What is there is whole; the "
            "same command resumes"
        ) from None
    n_failed = sum(bool(one.result.reason) for one in made)
    return Done(len(made), sum(one.is_new for one in made), n_failed)


def part_name(index: int) -> str:
    """Return the name of a chunk's results."""
    return f"results/part-{index:06d}.parquet"


def _loose_name(name: str) -> str:
    return f"{name[:2]}/{name}.flac"


def _placed(made: Made, index: int, loose: bool) -> Made:
    """Return it with the name of its file."""
    result = made.result
    if result.reason:
        return made
    member = f"{shard_name(index)}:{clip_key(result.row, result.id)}.flac"
    name = _loose_name(result.identity) if loose else member
    return made._replace(result=result._replace(file=name))


def _hash_inputs(model: Model, chunk: Chunk, folder: Path) -> str:
    rows = [(row, [_state(row.asked.get(name), folder) for name in FILES]) for row in chunk.rows]
    decides = [__version__, model.identity.model_dump(mode="json"), rows]
    return sha256(json.dumps(decides, sort_keys=True, default=str).encode()).hexdigest()


def _state(name: object, folder: Path) -> str:
    """Return what changes when a recording does; "" of none, and of one that cannot be read."""
    if name is None:
        return ""
    parent, _, last = str(name).rpartition("/") if is_remote(str(name)) else (folder, "", str(name))
    try:
        return str(Place.of(parent).state(last))
    except UserError:  # no such protocol, no package for it, or it refuses: said when it is read
        return ""


class _Part(NamedTuple):
    """The results of a chunk, and what they were made of."""

    inputs: str
    rows: list[dict[str, Any]]

    def files(self) -> set[str]:
        """The files that hold its sounds."""
        return {str(row["file"]).partition(":")[0] for row in self.rows}


def _is_done(place: Place, part: _Part | None, inputs: str) -> bool:
    if part is None or part.inputs != inputs or any(row["reason"] for row in part.rows):
        return False
    return all(place.has(file) for file in part.files())


def _read_part(place: Place, index: int) -> _Part | None:
    import pyarrow
    import pyarrow.parquet

    data = place.read(part_name(index))
    if data is None:
        return None
    try:
        table = pyarrow.parquet.read_table(io.BytesIO(data))
        about = json.loads((table.schema.metadata or {})[_METADATA])
        return _Part(about["inputs"], table.to_pylist())
    except (pyarrow.ArrowInvalid, KeyError, ValueError):  # of another program: made again
        return None


def _write_part(place: Place, index: int, inputs: str, results: Sequence[Result]) -> None:
    import pyarrow
    import pyarrow.parquet

    about = {_METADATA: json.dumps({"inputs": inputs, "version": __version__})}
    schema = pyarrow.schema(
        [
            *((name, pyarrow.string()) for name in ("id", "reason", "identity", "file")),
            *((name, pyarrow.float64()) for name in _NUMBERS),
            *((name, pyarrow.bool_()) for name in ("silent", "clipped")),
            ("row", pyarrow.int64()),
        ],
        metadata=about,
    )
    rows = [result._asdict() for result in results]
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows, schema=schema), buffer)
    place.write(part_name(index), buffer.getvalue())


def _find_loose(place: Place, name: str) -> bytes | None:
    return place.read(_loose_name(name))


def _find_in_shard(place: Place, chunk: Chunk, before: _Part | None) -> Find:
    """Return what finds sounds in the shard that is there, by the results that go with it."""
    shard = place.read(shard_name(chunk.index)) if before else None
    if before is None or shard is None:
        return lambda name: None
    members = _members(shard)
    there: Mapping[str, bytes | None] = {
        row["identity"]: members.get(str(row["file"]).partition(":")[2]) for row in before.rows
    }
    return there.get


def _members(shard: bytes) -> dict[str, bytes]:
    try:
        with tarfile.open(fileobj=io.BytesIO(shard)) as tar:
            files = ((one.name, tar.extractfile(one)) for one in tar if one.isfile())
            return {name: file.read() for name, file in files if file is not None}
    except tarfile.TarError:  # damaged: made again
        return {}


def _write_shard(place: Place, chunk: Chunk, made: Sequence[Made]) -> None:
    rows = {row.number: row for row in chunk.rows}
    clips = [_encoded(one, rows[one.result.row], chunk.index) for one in made if one.flac]
    if clips:
        buffer = io.BytesIO()
        write_tar(buffer, clips)
        place.write(shard_name(chunk.index), buffer.getvalue())


def _encoded(made: Made, row: Row, index: int) -> Encoded:
    samples, rate = soundfile.read(io.BytesIO(made.flac), dtype="float32")
    prompt = row.asked.get("prompt")
    clip = PreparedClip(
        path=str(row.asked.get("source") or row.id),
        captions=(prompt,) if isinstance(prompt, str) else (),
        key=clip_key(row.number, row.id),
        shard=shard_name(index),
        duration_s=len(samples) / rate,
        original_sample_rate=rate,
        original_channels=1,
        digest=blake2b(samples.tobytes(), digest_size=16).hexdigest(),
    )
    return Encoded(clip, made.flac)
