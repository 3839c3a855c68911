"""Shards → what a model sees of them, once instead of at every step of training.

Each shard of clips becomes files of windows and a record of what they were made from: the encoder
and the shard's bytes. A shard whose record is valid is skipped, so the same command resumes a
run that was killed. One batch and one file of windows are in memory at a time.
"""

import json
from collections.abc import Iterator
from hashlib import sha256
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
import torch
from safetensors.torch import save

from latentfoley.data.encoder import Encoder, Fields, Source, Window, load_encoder
from latentfoley.data.latent_files import (
    Record,
    is_whole,
    list_records,
    list_windows_files,
    read_record,
    record_name,
    windows_name,
    windows_names,
)
from latentfoley.data.latents import FIELDS, MARKER, METADATA, CacheInfo, CacheSettings
from latentfoley.data.pack import cannot_write
from latentfoley.data.prepare import begin
from latentfoley.data.shard_files import require_clips, require_shards, written_shard
from latentfoley.data.shards import PreparedClip, read_dataset
from latentfoley.data.variations import Augmentation, ShardWindows
from latentfoley.errors import InputError
from latentfoley.files import remove_parts
from latentfoley.on_ray import map_on
from latentfoley.places import Place, Where, stored_name
from latentfoley.pools import require_workers
from latentfoley.progress import Progress

_FILE_S = 1200.0  # of sound in a file: 30 MB


class Task(NamedTuple):
    """A shard to encode, the places of both sides, and the encoder to do it with."""

    shards: str
    shard: str
    out: str
    source: Source
    settings: CacheSettings
    batch_size: int
    n_threads: int


def encode(
    shards: Where,
    out: Where,
    source: Source,
    augmentation: Augmentation,
    *,
    batch_size: int = 16,
    workers: int = 1,
    ray: bool = False,
    progress: Progress = lambda done, total: None,
) -> CacheInfo:
    """Encode every clip of a prepared data set, window by window.

    Args:
        shards: a folder or place that `prepare` has written.
        out: an empty or new folder or place, or one that the same call has begun.
        source: which encoder, and windows of which length.
        augmentation: what is encoded beside the consecutive windows.
        batch_size: windows encoded together, 1 to 4096.
        workers: processes, each with a model of its own; one uses every core already.
        ray: whether they are tasks of a Ray cluster that sees the same folders; its address is
            in RAY_ADDRESS, else Ray starts here.
        progress: called with (clips done, clips there).

    Returns:
        What is in the cache, as `cache.json` has it.

    Raises:
        RecipeError: no finished data set, or one with a shard that is gone or damaged.
        ModelError: no such model, or one without an audio tower.
        InputError: an option, rate or place that is not allowed, a cache that another model or
            other settings have begun, or a disk or a store that refuses.
    """
    n_workers = require_workers(workers)
    if not 1 <= batch_size <= 4096:
        raise InputError(f"a batch of {batch_size} windows; allowed: 1 to 4096")
    origin, place = Place.of(shards), Place.of(out)
    dataset = read_dataset(origin)
    names = require_shards(origin, dataset.n_shards)
    load_encoder.cache_clear()  # a folder may hold another model than it did
    encoder = load_encoder(source)
    _require_rate(origin, dataset.settings.sample_rate, encoder)
    settings = CacheSettings(
        shards=stored_name(origin, place), **dict(encoder.identity), **dict(augmentation)
    )
    begin(place, MARKER, CacheInfo(settings=settings))
    n_threads = 1 if ray else max(1, torch.get_num_threads() // n_workers)
    tasks = (
        Task(origin.name, name, place.name, source, settings, batch_size, n_threads)
        for name in names
    )
    total, used = CacheInfo(settings=settings), set[str]()
    for name, record in zip(
        names, map_on(ray, encode_shard, tasks, n_workers, gpus=True), strict=True
    ):
        stem = PurePosixPath(name).stem
        used |= {record_name(stem), *windows_names(stem, record)}
        total = _add(total, record)
        progress(total.n_clips, dataset.n_clips)
    require_clips(origin, dataset.n_clips, total.n_clips)
    return _finish(place, used, total)


def _require_rate(shards: Place, sample_rate: int, encoder: Encoder) -> None:
    wanted = encoder.mel.sample_rate
    if sample_rate != wanted:
        raise InputError(
            f"'{shards}' is at {sample_rate} Hz, the model takes {wanted} Hz; "
            f"prepare it again with --rate {wanted}"
        )


def encode_shard(task: Task) -> Record:
    """Write the windows of a shard and their record, unless they are there; return the record.

    Raises:
        RecipeError: the shard is damaged.
        InputError: a disk or a store refuses.
    """
    torch.set_num_threads(task.n_threads)
    out, stem = Place.of(task.out), PurePosixPath(task.shard).stem
    with written_shard(Place.of(task.shards), task.shard) as (shard, source):
        begun = Record(settings=_hash(task.settings), source=source)
        try:
            record = read_record(out, stem)
            if record is None or not _holds(record, begun, out, stem):
                record = _write_windows(task, shard, begun)
                out.write(record_name(stem), record.model_dump_json().encode())
        except OSError as error:
            raise cannot_write(out, error) from None
    return record


def _write_windows(task: Task, shard: Path, record: Record) -> Record:
    """Write a shard's windows, file by file; return the record with its counts."""
    out, encoder = Place.of(task.out), load_encoder(task.source)
    shard_windows = ShardWindows(encoder, task.settings)
    windows = shard_windows.windows(shard)
    per_file = max(1, int(_FILE_S * encoder.mel.sample_rate / encoder.n_samples))
    n_windows: list[int] = []
    hashes: list[str] = []
    n_held_out = 0
    while fields := _encode(islice(windows, per_file), encoder, task.batch_size):
        # One entry: safetensors writes several in an order that differs from run to run.
        about = json.dumps({"keys": fields.keys, "captions": fields.captions})
        data = save(fields.tensors, {METADATA: about})
        out.write(windows_name(shard.stem, len(n_windows)), data)
        n_windows.append(len(fields.keys))
        hashes.append(sha256(data).hexdigest())
        n_held_out += int(fields.tensors["held_out"].sum())
    return record.model_copy(
        update={
            "windows": tuple(n_windows),
            "sha256": tuple(hashes),
            "n_clips": shard_windows.n_clips,
            "n_held_out": n_held_out,
            "n_silent": shard_windows.n_silent,
        }
    )


class _File(NamedTuple):
    """What goes into one file: key and captions of each window's clip, and every field."""

    keys: list[str]
    captions: list[tuple[str, ...]]
    tensors: Fields


def _encode(
    windows: Iterator[tuple[PreparedClip, Window]], encoder: Encoder, batch_size: int
) -> _File | None:
    """Encode windows batch by batch; None where there are none."""
    clips: list[PreparedClip] = []
    batches: list[Fields] = []
    while batch := list(islice(windows, batch_size)):
        fields = encoder.encode(np.stack([window.waveform for _, window in batch]))
        held_out = [clip.split == "valid" for clip, _ in batch]
        fields["held_out"] = torch.tensor(held_out, dtype=torch.uint8)
        fields["start_s"] = torch.tensor([clip.start_s + w.start_s for clip, w in batch])
        batches.append(fields)
        clips += [clip for clip, _ in batch]
    if not batches:
        return None
    tensors = {name: torch.cat([fields[name] for fields in batches]) for name in FIELDS}
    return _File([clip.key for clip in clips], [clip.captions for clip in clips], tensors)


def _hash(settings: CacheSettings) -> str:
    """Return a hash of what the windows of a shard depend on; the place of the shards is not."""
    return sha256(settings.model_dump_json(exclude={"shards"}).encode()).hexdigest()


def _holds(record: Record, begun: Record, out: Place, shard: str) -> bool:
    """Return whether the windows of a shard are there, and of these settings and this shard."""
    same = (record.settings, record.source) == (begun.settings, begun.source)
    return same and is_whole(out, shard, record)


def _add(total: CacheInfo, record: Record) -> CacheInfo:
    return total.model_copy(
        update={
            "n_clips": total.n_clips + record.n_clips,
            "n_windows": total.n_windows + sum(record.windows),
            "n_held_out": total.n_held_out + record.n_held_out,
            "n_silent": total.n_silent + record.n_silent,
        }
    )


def _finish(out: Place, used: set[str], total: CacheInfo) -> CacheInfo:
    """Say that all is there; remove what is of shards that are gone, and what is half-written."""
    info = total.model_copy(update={"complete": True})
    there = [*list_windows_files(out), *map(record_name, list_records(out))]
    try:
        if out.folder is not None:
            remove_parts(out.folder)
        for name in there:
            if name not in used:
                out.remove(name)
        out.write(MARKER, info.model_dump_json(indent=2).encode())
    except OSError as error:
        raise cannot_write(out, error) from None
    return info
