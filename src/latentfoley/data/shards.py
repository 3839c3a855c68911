"""Tar shards in the form that WebDataset made common: `key.flac` and `key.json` for every clip.

    dataset.json            how it was made, and what is in it
    manifest.jsonl          one clip a line: the same records as in the shards
    skipped.jsonl           what was left out, and why
    shard-000000.tar …      the clips
    records/                what each shard was made of, and a hash of it

A tar of such pairs is read by WebDataset and by every tool that speaks its form. Reading takes one
clip at a time. It does not know how recordings become clips (`pack.py`) or who makes shards
(`prepare.py`).
"""

import io
import json
import os
import re
import tarfile
from collections.abc import Iterable, Iterator
from hashlib import file_digest
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
import soundfile
from jaxtyping import Float32
from pydantic import Field

from latentfoley.config import Config
from latentfoley.data.metadata import Entry
from latentfoley.errors import InputError, RecipeError
from latentfoley.places import Place, Where, nearest_place

Samples = Float32[np.ndarray, "N"]

AGAIN = "delete it and run the same `latentfoley data prepare` again"
DATASET, MANIFEST, BATCH = "dataset.json", "manifest.jsonl", "batch.json"
"""What tells a folder of shards, the list of its clips, and what tells shards of `batch`."""

_NAME = re.compile(r"shard-\d+\.tar")


class PreparedClip(Entry):
    """One clip of a shard; `path` is the recording it was cut from.

    Attributes:
        key: its name in the shard, and in whatever is made of it.
        shard: the file it is in.
        start_s: where in the recording it begins, in seconds.
        duration_s: its length in seconds.
        original_sample_rate, original_channels: of the recording.
        gain: what it was multiplied with so as not to clip; 1 for nearly all.
        digest: of its samples: equal for equal clips.
    """

    key: str
    shard: str
    start_s: float = 0.0
    duration_s: float
    original_sample_rate: int
    original_channels: int
    gain: float = 1.0
    digest: str


class Settings(Config):
    """What the clips of a data set depend on.

    Attributes:
        folder: of the recordings; absolute, or relative to the data set.
        layout: how captions were found in it; see `layouts.py`.
        sample_rate: of the clips, in Hz.
        piece_s: recordings are cut about that often, in seconds: no piece of one is shorter than
            half of it or longer than one and a half.
        held_out: share of recordings that are kept from training where nobody has decided.
        recordings_per_shard: how many go into one file.
    """

    folder: str
    layout: str
    sample_rate: int = Field(default=16_000, ge=1_000, le=192_000)
    piece_s: float = Field(default=60.0, ge=1.0, le=3600.0)
    held_out: float = Field(default=0.05, ge=0.0, lt=1.0)
    recordings_per_shard: int = Field(default=100, ge=1, le=100_000)


class Dataset(Config):
    """What `dataset.json` says; the counts are there when `complete` is.

    Attributes:
        settings: what the clips depend on.
        complete: whether every recording has been seen to.
        n_shards, n_clips, n_held_out: how many there are; held out are counted among the clips.
        total_s: duration of all clips, in seconds.
        n_skipped: recordings, pieces of one, and rows of tables that were left out.
        n_duplicates: clips whose samples another one has too.
        n_captioned: clips with a caption.
        licences: how many clips are under each; "" stands for none found.
    """

    settings: Settings
    complete: bool = False
    n_shards: int = 0
    n_clips: int = 0
    n_held_out: int = 0
    total_s: float = 0.0
    n_skipped: int = 0
    n_duplicates: int = 0
    n_captioned: int = 0
    licences: dict[str, int] = Field(default_factory=dict)


class Encoded(NamedTuple):
    """A clip on its way into a shard."""

    clip: PreparedClip
    flac: bytes


def shard_name(index: int) -> str:
    """Return the file name of a shard."""
    return f"shard-{index:06d}.tar"


def read_dataset(where: Where) -> Dataset:
    """Return what a folder of shards says about itself.

    Raises:
        RecipeError: the folder holds no data set, or one that is damaged or not finished.
        InputError: its place refuses.
    """
    place = Place.of(where)
    path = place.where(DATASET)
    try:
        data = place.read(DATASET)
        if data is not None:
            dataset = Dataset.parse(json.loads(data), where=path)
    except InputError:
        raise
    except (ValueError, OSError) as error:
        raise RecipeError(f"{path} cannot be read ({error})") from None
    if data is None:
        raise RecipeError(
            f"'{place}' holds no {DATASET}: give a folder that `latentfoley data prepare` has "
            f"written.{nearest_place(place)}"
        )
    if not dataset.complete:
        raise RecipeError(
            f"'{place}' is not finished: run the same `latentfoley data prepare` again to go on"
        )
    return dataset


def find_shards(where: Where) -> list[str]:
    """Return the shards of a folder, in order; files of other names are left alone."""
    return [name for name in Place.of(where).names() if _NAME.fullmatch(name)]


class Written(NamedTuple):
    """A shard that was written: its clips, its bytes and their SHA-256; 0 and "" without clips."""

    clips: list[PreparedClip]
    n_bytes: int
    sha256: str


def write_shard(place: Place, name: str, clips: Iterable[Encoded]) -> Written:
    """Write a shard whole or not at all. Without clips none is there afterwards.

    The bytes depend on the clips alone: neither time nor user is in them.

    Raises:
        OSError: the disk or the store refuses; nothing is left behind.
    """
    with place.new(name) as part, part.open("w+b") as file:
        written = write_tar(file, clips)
        file.flush()
        os.fsync(file.fileno())
        n_bytes = file.tell()
        file.seek(0)
        sha256 = file_digest(file, "sha256").hexdigest()
    if not written:
        place.remove(name)
        return Written([], 0, "")
    return Written(written, n_bytes, sha256)


def write_tar(file: IO[bytes], clips: Iterable[Encoded]) -> list[PreparedClip]:
    """Write the bytes of a shard to an open file; return what is in it."""
    written: list[PreparedClip] = []
    with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for clip, flac in clips:
            _add(tar, f"{clip.key}.flac", flac)
            _add(tar, f"{clip.key}.json", record_line(clip).encode())
            written.append(clip)
    return written


def record_line(clip: PreparedClip) -> str:
    """Return the record of a clip as one line of JSON, without what is empty."""
    record = {name: value for name, value in clip.model_dump().items() if value not in ("", ())}
    return json.dumps(record, separators=(",", ":"))


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


def read_shard(path: Path) -> Iterator[tuple[PreparedClip, Samples]]:
    """Yield every clip of a shard with its samples, one at a time.

    Raises:
        RecipeError: the file is damaged, no tar, not made of pairs of .flac and .json, or has two
            clips of one name.
    """
    keys: set[str] = set()
    try:
        with tarfile.open(path, "r|") as tar:
            members = ((member.name, tar.extractfile(member)) for member in tar if member.isfile())
            for name, file in members:
                flac = file.read() if file else b""
                clip = _record(path, name, next(members, None))
                if clip.key in keys:
                    raise RecipeError(f"'{path}' holds two clips called '{clip.key}'; {AGAIN}")
                keys.add(clip.key)
                yield clip, _decode(path, name, flac)
    except (tarfile.TarError, OSError) as error:
        raise RecipeError(f"'{path}' is damaged or no tar shard ({error}); {AGAIN}") from None


def _record(path: Path, name: str, second: tuple[str, IO[bytes] | None] | None) -> PreparedClip:
    key = name.removesuffix(".flac")
    if second is None or second[0] != f"{key}.json" or second[1] is None:
        found = "nothing" if second is None else f"'{second[0]}'"
        raise RecipeError(f"'{path}': '{key}.json' is expected after '{name}', found {found}")
    try:
        return PreparedClip.parse(json.loads(second[1].read()), where=f"{path}: {key}.json")
    except ValueError as error:
        raise RecipeError(f"'{path}': {key}.json is not JSON ({error}); {AGAIN}") from None


def _decode(path: Path, name: str, flac: bytes) -> Samples:
    try:
        samples, _ = soundfile.read(io.BytesIO(flac), dtype="float32")
    except soundfile.SoundFileError:
        raise RecipeError(f"'{path}': '{name}' cannot be decoded; {AGAIN}") from None
    return np.asarray(samples, dtype=np.float32)
