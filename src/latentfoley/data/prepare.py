"""A folder of recordings → a data set: shards, a manifest, and a list of what was left out.

The folder is walked once more for each run; recordings go to shards in the order of their names. A
shard whose record is valid is skipped, so the same command resumes after a kill, and adds
what is new to a folder that has grown. Nothing here grows with the number of recordings in memory.
"""

import contextlib
import json
from collections import Counter
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any, TextIO

from latentfoley.config import Config
from latentfoley.data.folder import Found, find_recordings
from latentfoley.data.metadata import Metadata
from latentfoley.data.metadata_index import DiskTable, MetadataIndex, SkippedFile, choose_layout
from latentfoley.data.pack import Task, cannot_write, pack
from latentfoley.data.scan import count_recordings
from latentfoley.data.shard_files import Record, read_record, record_path
from latentfoley.data.shards import Dataset, Settings, find_shards, record_line, shard_name
from latentfoley.encoding import write_atomically
from latentfoley.errors import InputError, RecipeError
from latentfoley.files import aside, remove_parts, stored_path
from latentfoley.on_ray import map_on
from latentfoley.pools import require_workers
from latentfoley.progress import Progress

MARKER = "dataset.json"
_SHOWN = 3
_PLACES = ("folder", "shards")  # the settings that name one


def prepare(
    folder: Path,
    out: Path,
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
        folder: any folder; recordings are found by their suffix at any depth.
        out: an empty or new folder, or one that the same call has begun.
        layout, captions, workers, ray, progress: as in `scan`.
        settings: `sample_rate`, `piece_s`, `held_out`, `recordings_per_shard`; see `Settings`.

    Returns:
        What is in the data set, as `dataset.json` has it.

    Raises:
        InputError: a folder, place or option that is not allowed, or a disk that refuses.
        RecipeError: a setting out of range, or not one recording that can be used.
    """
    n_workers = require_workers(workers)
    n_files = count_recordings(folder)
    values = {"folder": stored_path(folder, out), "layout": choose_layout(folder, layout)}
    values |= settings
    chosen = Settings.parse(values, where="data prepare")
    with MetadataIndex(folder, chosen.layout, captions) as index:
        begin(out, MARKER, Dataset(settings=chosen))
        n_done = n_shards = 0
        for n in map_on(ray, pack, _tasks(folder, out, index, chosen), n_workers):
            n_done, n_shards = n_done + n, n_shards + 1
            progress(n_done, n_files)
        return _finish(out, chosen, n_shards, [*index.skipped, *index.unmatched()])


def begin(out: Path, marker: str, description: Config) -> None:
    """Make a folder to write to, or resume one that was begun with the same settings.

    `marker` is the file that tells; it holds what is being made, described by `description`.

    Raises:
        InputError: the place is a file, holds something else, cannot be written to, or was begun
            with other settings (which are named).
    """
    try:
        there = sorted(p.name for p in islice(out.iterdir(), 1000)) if out.exists() else []
        if marker in there:
            _require_same(out / marker, description)
        elif there:
            raise InputError(
                f"'{out}' holds something else: {', '.join(there[:_SHOWN])}"
                f"{' …' if len(there) > _SHOWN else ''}; give a new or an empty folder"
            )
        out.mkdir(parents=True, exist_ok=True)
        write_atomically(out / marker, description.model_dump_json(indent=2).encode())
    except (FileExistsError, NotADirectoryError):
        raise InputError(f"'{out}' is a file, or in one; give a new or an empty folder") from None
    except OSError as error:
        raise cannot_write(out, error) from None


def _require_same(path: Path, description: Config) -> None:
    try:
        before = json.loads(path.read_text(encoding="utf-8"))["settings"]
    except (ValueError, LookupError, TypeError):
        raise InputError(f"'{path}' is damaged; give a new or an empty folder") from None
    now = description.model_dump(mode="json")["settings"]
    out = path.parent
    other = [name for name in now if not _is_same(out, name, before.get(name), now[name])]
    if other:
        told = "; ".join(f"{name} was {before.get(name)}, now {now[name]}" for name in other)
        raise InputError(
            f"'{out}' was begun with other settings: {told}. "
            f"Give another folder, or the same settings to go on"
        )


def _is_same(out: Path, name: str, before: Any, now: Any) -> bool:
    """Return whether a setting is as before; a place may be named in several ways."""
    if name in _PLACES and before is not None:
        return bool((out / before).resolve() == (out / now).resolve())
    return bool(before == now)


def _tasks(folder: Path, out: Path, index: MetadataIndex, settings: Settings) -> Iterator[Task]:
    names = find_recordings(folder)
    size = settings.recordings_per_shard
    for number, first in enumerate(names):
        shard = (_known(found, index) for found in chain([first], islice(names, size - 1)))
        yield Task(str(out), number, number * size, tuple(shard), settings)


def _known(found: Found, index: MetadataIndex) -> tuple[Found, Metadata]:
    return found, Metadata() if found.fault else index.find(found.path)


def _finish(out: Path, settings: Settings, n_shards: int, unused: list[SkippedFile]) -> Dataset:
    """Write the manifest and the list of what was left out; remove what is of no use any more."""
    counts: Counter[str] = Counter()
    licences: Counter[str] = Counter()
    try:
        with (
            _text_aside(out / "manifest.jsonl") as manifest,
            _text_aside(out / "skipped.jsonl") as skipped,
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
        write_atomically(out / MARKER, dataset.model_dump_json(indent=2).encode())
    except OSError as error:
        raise cannot_write(out, error) from None
    if not dataset.complete:
        raise RecipeError(
            f"not one recording can be used; {out / 'skipped.jsonl'} says why of each"
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
def _text_aside(path: Path) -> Iterator[TextIO]:
    """Open a text file that takes its place when it is whole."""
    with aside(path) as part, part.open("w", encoding="utf-8") as file:
        yield file


def _remove_leftovers(out: Path, n_shards: int) -> None:
    """Remove shards of recordings that are gone, and what an interrupted run left half-written."""
    used = {shard_name(index) for index in range(n_shards)}
    records = {record_path(out, index).name for index in range(n_shards)}
    gone = [path for path in find_shards(out) if path.name not in used]
    gone += [path for path in (out / "records").glob("shard-*") if path.name not in records]
    gone += out.glob("shard-*.part")  # of an earlier version
    remove_parts(out)
    for path in gone:
        path.unlink(missing_ok=True)
