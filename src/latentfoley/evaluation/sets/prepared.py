"""What `data prepare` wrote → a set: the held-out clips of its shards, as files of their own.

Clips lie in tars, and features are computed from files: see `unpack.py`.
"""

from pathlib import Path, PurePosixPath

from latentfoley.data.metadata import read_entries
from latentfoley.data.shard_files import read_record, require_shards, written_shard
from latentfoley.data.shards import DATASET, MANIFEST, PreparedClip, read_dataset
from latentfoley.evaluation.sets.clips import Clip, ClipSet, require_set
from latentfoley.evaluation.sets.unpack import unpack, unpacked_folder
from latentfoley.places import Place


def prepared_place(place: Place) -> Place | None:
    """Return the place of a data set that a place is, or is the manifest of; else None."""
    whole = place.parent if PurePosixPath(place.name).name == MANIFEST else place
    return whole if whole.has(DATASET) else None


def read_prepared(place: Place) -> ClipSet:
    """Return the held-out clips of a data set, or all of them where none are held out.

    A clip is asked for by its first caption, else by its labels: "a sound of LABEL and LABEL".

    Raises:
        RecipeError: the data set is not finished, not whole, or damaged.
        InputError: fewer than two clips, or its place refuses.
    """
    dataset = read_dataset(place)
    shards = require_shards(place, dataset.n_shards)
    with place.local(MANIFEST) as manifest:
        records = read_entries(manifest, PreparedClip)
    chosen = [record for record in records if record.split == "valid"] or records
    clips = []
    for shard in shards:
        inside = [record for record in chosen if record.shard == shard]
        folder = _unpacked(place, shard, [f"{record.key}.flac" for record in inside])
        clips += [
            Clip(r.key, folder / f"{r.key}.flac", _caption(r), "".join(r.labels[:1]))
            for r in inside
        ]
    clips.sort(key=lambda clip: clip.key)
    require_set(place, clips)
    split = "held out" if len(chosen) < len(records) else "all"
    about = {"data set": str(place), "split": split, "clips": f"{len(clips)} of {len(records)}"}
    return ClipSet(place, tuple(clips), about)


def _unpacked(place: Place, shard: str, names: list[str]) -> Path:
    """Return a folder with these members of a shard, which is compared with its record.

    A remote one is not fetched again where all of them are there.
    """
    record = read_record(place, int(PurePosixPath(shard).stem.removeprefix("shard-")))
    if place.folder is None and record is not None and record.sha256:
        folder = unpacked_folder(record.sha256)
        if all((folder / name).is_file() for name in names):
            return folder
    with written_shard(place, shard) as (path, sha256):
        return unpack(path, sha256, names)


def _caption(record: PreparedClip) -> str:
    if record.captions or not record.labels:
        return next(iter(record.captions), "")
    return f"a sound of {' and '.join(label.lower() for label in record.labels)}"
