"""A folder of recordings → a data set: shards, a manifest, and a list of what was left out.

The folder is walked once more for each run; recordings go to shards in the order of their names. A
shard whose record is valid is skipped, so the same command resumes after a kill, and adds
what is new to a folder that has grown. Nothing here grows with the number of recordings in memory.
"""

import contextlib
import json
from collections import Counter
from collections.abc import Iterator
from fnmatch import fnmatch
from itertools import chain, islice
from pathlib import Path
from typing import Any, TextIO

from latentfoley.config import Config
from latentfoley.data.folder import Found, find_recordings
from latentfoley.data.metadata import Metadata
from latentfoley.data.metadata_index import DiskTable, MetadataIndex, SkippedFile, choose_layout
from latentfoley.data.pack import Task, cannot_write, pack
from latentfoley.data.scan import count_recordings
from latentfoley.data.shard_files import Record, read_record, record_name
from latentfoley.data.shards import (
    DATASET,
    MANIFEST,
    Dataset,
    Settings,
    find_shards,
    record_line,
    shard_name,
)
from latentfoley.data.tables_of import tables_of
from latentfoley.errors import InputError, RecipeError
from latentfoley.files import remove_parts
from latentfoley.on_ray import map_on
from latentfoley.places import Place, Where, stored_name
from latentfoley.pools import require_workers
from latentfoley.progress import Progress

_SHOWN = 3
_PLACES = ("folder", "shards")  # the settings that name one


def prepare(
    folder: Where,
    out: Where,
    *,
    layout: str | None = None,
    captions: Path | None = None,
    workers: int | None = None,
    ray: bool = False,
    progress: Progress = lambda done, total: None,
    **settings: Any,
) -> Dataset:
    """Write every recording under a folder into shards: mono, at one rate, in pieces.

    Args:
        folder: any folder or place; recordings are found by their suffix at any depth.
        out: an empty or new folder or place, or one that the same call has begun.
        layout, captions, workers, ray, progress: as in `scan`.
        settings: `sample_rate`, `piece_s`, `held_out`, `recordings_per_shard`; see `Settings`.

    Returns:
        What is in the data set, as `dataset.json` has it.

    Raises:
        InputError: a folder, place or option that is not allowed, or a disk that refuses.
        RecipeError: a setting out of range, or not one recording that can be used.
    """
    n_workers = require_workers(workers)
    source, place = Place.of(folder), Place.of(out)
    n_files = count_recordings(source)
    with tables_of(source) as tables:
        values = {"folder": stored_name(source, place), "layout": choose_layout(tables, layout)}
        chosen = Settings.parse(values | settings, where="data prepare")
        with MetadataIndex(tables, chosen.layout, captions) as index:
            begin(place, DATASET, Dataset(settings=chosen))
            n_done = n_shards = 0
            for n in map_on(ray, pack, _tasks(source, place, index, chosen), n_workers):
                n_done, n_shards = n_done + n, n_shards + 1
                progress(n_done, n_files)
            return _finish(place, chosen, n_shards, [*index.skipped, *index.unmatched()])


def begin(place: Place, marker: str, description: Config) -> None:
    """Make a place to write to, or resume one that was begun with the same settings.

    `marker` is the file that tells; it holds what is being made, described by `description`.

    Raises:
        InputError: the place is a file, holds something else, cannot be written to, or was begun
            with other settings (which are named).
    """
    try:
        there = place.names()
        if marker in there:
            _require_same(place, marker, description)
        elif there:
            raise InputError(
                f"'{place}' holds something else: {', '.join(there[:_SHOWN])}"
                f"{' …' if len(there) > _SHOWN else ''}; give a new or an empty folder"
            )
        place.write(marker, description.model_dump_json(indent=2).encode())
    except (FileExistsError, NotADirectoryError):
        raise InputError(f"'{place}' is a file, or in one; give a new or an empty folder") from None
    except OSError as error:
        raise cannot_write(place, error) from None


def _require_same(place: Place, marker: str, description: Config) -> None:
    try:
        before = json.loads(place.read(marker) or b"")["settings"]
    except (ValueError, LookupError, TypeError):
        raise InputError(
            f"'{place.where(marker)}' is damaged; give a new or an empty folder"
        ) from None
    require_same_settings(place, before, description.model_dump(mode="json")["settings"])


def require_same_settings(place: Place, before: dict[str, Any], now: dict[str, Any]) -> None:
    """Refuse to go on in a place with other settings than it was begun with.

    Raises:
        InputError: names those that differ, as they were and as they are.
    """
    other = [name for name in now if not _is_same(place, name, before.get(name), now[name])]
    if other:
        told = "; ".join(f"{name} was {before.get(name)}, now {now[name]}" for name in other)
        raise InputError(
            f"'{place}' was begun with other settings: {told}. "
            f"Give another folder, or the same settings to go on"
        )


def _is_same(place: Place, name: str, before: Any, now: Any) -> bool:
    """Return whether a setting is as before; a place may be named in several ways."""
    if name in _PLACES and before is not None:
        return place.inside(before).is_same(place.inside(now))
    return bool(before == now)


def _tasks(folder: Place, out: Place, index: MetadataIndex, settings: Settings) -> Iterator[Task]:
    names = find_recordings(folder)
    size = settings.recordings_per_shard
    for number, first in enumerate(names):
        shard = (_known(found, index) for found in chain([first], islice(names, size - 1)))
        yield Task(out.name, number, number * size, tuple(shard), settings)


def _known(found: Found, index: MetadataIndex) -> tuple[Found, Metadata]:
    return found, Metadata() if found.fault else index.find(found.path)


def _finish(out: Place, settings: Settings, n_shards: int, unused: list[SkippedFile]) -> Dataset:
    """Write the manifest and the list of what was left out; remove what is of no use any more."""
    counts: Counter[str] = Counter()
    licences: Counter[str] = Counter()
    try:
        with (
            _new_text(out, MANIFEST) as manifest,
            _new_text(out, "skipped.jsonl") as skipped,
            DiskTable() as digests,
        ):
            _write_skipped(skipped, unused)
            counts["n_skipped"] = len(unused)
            for index in range(n_shards):
                record = read_record(out, index)
                if record is None:
                    raise RecipeError(f"the record of shard {index} in '{out}' is gone; run again")
                _write_skipped(skipped, record.skipped)
                counts["n_skipped"] += len(record.skipped)
                _count(record, manifest, digests, counts, licences)
        _remove_leftovers(out, n_shards)
        total_s = counts.pop("microseconds", 0) / 1e6
        dataset = Dataset(
            settings=settings,
            complete=counts["n_clips"] > 0,
            n_shards=len(find_shards(out)),
            total_s=total_s,
            licences=dict(licences.most_common()),
            **counts,
        )
        out.write(DATASET, dataset.model_dump_json(indent=2).encode())
    except OSError as error:
        raise cannot_write(out, error) from None
    if not dataset.complete:
        raise RecipeError(
            f"not one recording can be used; {out.where('skipped.jsonl')} says why of each"
        )
    return dataset


def _count(
    record: Record,
    manifest: TextIO,
    digests: DiskTable,
    counts: Counter[str],
    licences: Counter[str],
) -> None:
    """Write a shard's clips to the manifest, and count them."""
    for clip in record.clips:
        manifest.write(record_line(clip) + "\n")
        counts["n_clips"] += 1
        counts["microseconds"] += round(1e6 * clip.duration_s)
        counts["n_held_out"] += clip.split == "valid"
        counts["n_captioned"] += bool(clip.captions)
        counts["n_duplicates"] += digests.setdefault(clip.digest, clip.key) != clip.key
        licences[clip.licence] += 1


def _write_skipped(file: TextIO, unused: "list[SkippedFile] | tuple[SkippedFile, ...]") -> None:
    file.writelines(json.dumps(fault._asdict()) + "\n" for fault in unused)


@contextlib.contextmanager
def _new_text(place: Place, name: str) -> Iterator[TextIO]:
    """Open a text file that takes its place when it is whole."""
    with place.new(name) as part, part.open("w", encoding="utf-8") as file:
        yield file


def _remove_leftovers(out: Place, n_shards: int) -> None:
    """Remove shards of recordings that are gone, and what an interrupted run left half-written."""
    used = {shard_name(index) for index in range(n_shards)}
    used |= {record_name(index) for index in range(n_shards)}
    there = find_shards(out)
    there += [f"records/{name}" for name in out.names("records") if name.startswith("shard-")]
    there += [
        name for name in out.names() if fnmatch(name, "shard-*.part")
    ]  # of an earlier version
    if out.folder is not None:
        remove_parts(out.folder)
    for name in there:
        if name not in used:
            out.remove(name)
