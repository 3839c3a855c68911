"""What `data prepare` wrote → a set: the held-out clips of its shards, as files of their own.

Clips lie in tars, and features are computed from files: they are unpacked once into the cache, into
a folder that is named by what is in the shards.
"""

import tarfile
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from latentfoley.data.metadata import read_entries
from latentfoley.data.shard_files import require_shards, require_written
from latentfoley.data.shards import PreparedClip, read_dataset
from latentfoley.encoding import write_atomically
from latentfoley.errors import InputError
from latentfoley.evaluation.sets.clips import Clip, ClipSet, require_set
from latentfoley.files import cache_folder


def prepared_folder(place: Path) -> Path | None:
    """Return the folder of a data set that a place is, or is the manifest of; else None."""
    folder = place.parent if place.name == "manifest.jsonl" else place
    return folder if (folder / "dataset.json").is_file() else None


def read_prepared(folder: Path) -> ClipSet:
    """Return the held-out clips of a data set, or all of them where none are held out.

    A clip is asked for by its first caption, else by its labels: "a sound of LABEL and LABEL".

    Raises:
        RecipeError: the data set is not finished, not whole, or damaged.
        InputError: fewer than two clips.
    """
    dataset = read_dataset(folder)
    shards = require_shards(folder, dataset.n_shards)
    hashes = {shard.name: require_written(shard) for shard in shards}
    records = read_entries(folder / "manifest.jsonl", PreparedClip)
    chosen = [record for record in records if record.split == "valid"] or records
    place = cache_folder("clips") / sha256(repr(hashes).encode()).hexdigest()[:16]
    _unpack(folder, chosen, place)
    clips = tuple(
        Clip(record.key, place / f"{record.key}.flac", _caption(record), "".join(record.labels[:1]))
        for record in sorted(chosen, key=lambda record: record.key)
    )
    require_set(folder, clips)
    split = "held out" if len(chosen) < len(records) else "all"
    about = {"data set": str(folder), "split": split, "clips": f"{len(clips)} of {len(records)}"}
    return ClipSet(folder, clips, about)


def _unpack(folder: Path, records: Sequence[PreparedClip], place: Path) -> None:
    for record in records:
        if Path(record.key).is_absolute() or ".." in Path(record.key).parts:
            raise InputError(f"'{folder}': the clip '{record.key}' leads out of the data set")
    for shard in sorted({record.shard for record in records}):
        missing = {
            f"{record.key}.flac"
            for record in records
            if record.shard == shard and not (place / f"{record.key}.flac").is_file()
        }
        if missing:
            with tarfile.open(folder / shard, "r:") as tar:
                for name in missing:
                    file = tar.extractfile(name)
                    assert file is not None  # the shard is what was written
                    write_atomically(place / name, file.read())


def _caption(record: PreparedClip) -> str:
    if record.captions or not record.labels:
        return next(iter(record.captions), "")
    return f"a sound of {' and '.join(label.lower() for label in record.labels)}"
