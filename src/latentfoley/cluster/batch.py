"""A manifest → sounds and results: chunks of rows go to actors of Ray, each of which holds a model.

Ray Data starts the actors, hands them a chunk at a time, and gives those of a lost machine to the
others. The driver reads the manifest, keeps references and counts.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from itertools import chain, islice
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from latentfoley.cluster.chunk import BatchSettings, Chunk, Done, make_chunk, part_name
from latentfoley.cluster.manifest import Row, read_manifest
from latentfoley.data.prepare import require_same_settings
from latentfoley.data.shards import BATCH, shard_name
from latentfoley.errors import InputError, LatentFoleyError, UserError
from latentfoley.loading import load
from latentfoley.on_ray import connected, require_ray
from latentfoley.pipeline import Model
from latentfoley.place_names import is_remote
from latentfoley.places import Place, local_file
from latentfoley.progress import Progress


class Workers(NamedTuple):
    """Actors of Ray, each of which holds a model.

    Attributes:
        n: how many; None is as many as the cluster has room for.
        cpus: cores of each, also the threads that it computes with, > 0.
        gpus: GPUs of each, a share of one allowed; None is 1 where the cluster has some.
    """

    n: int | None = None
    cpus: float = 1
    gpus: float | None = None


AS_MANY_AS_FIT = Workers()


class Batch(NamedTuple):
    """What became of a manifest.

    Attributes:
        n_rows: in it.
        n_made: sounds that were made now; the others were there.
        n_failed: rows without a sound; the results say why.
        out: the place.
    """

    n_rows: int
    n_made: int
    n_failed: int
    out: str


def batch(
    manifest: str | Path,
    out: str | Path,
    *,
    loose: bool = False,
    rows_per_shard: int = 100,
    address: str | None = None,
    workers: Workers = AS_MANY_AS_FIT,
    progress: Progress = lambda done, total: None,
    loader: Callable[..., Model] = load,
    **loading: Any,
) -> Batch:
    """Make a sound of every row of a manifest, and results as Parquet files in `OUT/results`.

    The same call resumes after a kill, and makes rows again that failed. The samples of a row are
    those of `Model.generate` or `Model.edit` on that kind of device.

    Args:
        manifest: .jsonl, .csv, .tsv or .parquet, of this machine or a remote one; see
            `cluster/manifest.py`.
        out: a new or empty folder, or a place of fsspec that every machine of the cluster reaches.
        loose: write one file for each sound instead of tar shards.
        rows_per_shard: rows that are made, kept and lost together, 1 to 10,000.
        address: of a running Ray cluster, or "auto"; None starts Ray on this machine.
        workers: how many actors, and what each of them has.
        progress: called with (rows done, rows there).
        loader: returns the model, given `loading`.
        loading: as `load` takes it.

    Raises:
        MissingExtraError: Ray is not installed.
        InputError: a manifest, place or option that is not allowed, or a place that was begun with
            other settings.
        ModelError: the model cannot be loaded.
    """
    if not 1 <= rows_per_shard <= 10_000:
        raise InputError(f"{rows_per_shard} rows in a shard; allowed: 1 to 10,000")
    options = {name: str(v) if isinstance(v, Path) else v for name, v in loading.items()}
    device = options.pop("device", None)
    settings = BatchSettings(loading=options, loose=loose, rows_per_shard=rows_per_shard)
    place, folder = Place.of(_absolute(out)), Path(manifest).resolve().parent
    with local_file(str(manifest), Path()) as path:
        n_rows = sum(1 for _ in read_manifest(path))  # a line that is none is found before the work
        require_ray()
        _begin(place, settings)
        with connected(address) as ray:
            room = _room(ray, workers)
            where = (device or "cpu") if not room.gpus else device
            worker = (loader, options | {"device": where}, str(folder), place.name, settings)
            chunks = _chunks(read_manifest(path), rows_per_shard)
            n_done = n_made = n_failed = 0
            for done in _on_actors(ray, chunks, room, worker):
                n_done, n_made = n_done + done.n_rows, n_made + done.n_made
                n_failed += done.n_failed
                progress(n_done, n_rows)
    _remove_leftovers(place, -(-n_rows // rows_per_shard))
    return Batch(n_rows, n_made, n_failed, place.name)


class Worker:
    """An actor: it loads the model with its first chunk, and says what went wrong as a value."""

    def __init__(
        self,
        loader: Callable[..., Model],
        loading: dict[str, Any],
        folder: str,
        out: str,
        settings: BatchSettings,
        threads: int,
    ) -> None:
        self._loader, self._loading, self._threads = loader, loading, threads
        self._folder, self._out, self._settings = Path(folder), out, settings

    @cached_property
    def model(self) -> Model:
        """The model."""
        import torch

        torch.set_num_threads(self._threads)
        return self._loader(**self._loading)

    def __call__(self, chunks: dict[str, Any]) -> dict[str, list[Any]]:
        """Make one chunk; return what became of it as columns of one row."""
        rows = tuple(Row(*json.loads(row)) for row in chunks["rows"][0])
        done, error = Done(0, 0, 0), ""
        try:
            chunk = Chunk(int(chunks["index"][0]), rows)
            done = make_chunk(self.model, chunk, self._folder, self._out, self._settings)
        except LatentFoleyError as fault:
            kind = "user" if isinstance(fault, UserError) else "other"
            error = f"{kind}:{fault}"
        return {name: [value] for name, value in (done._asdict() | {"error": error}).items()}


class _Room(NamedTuple):
    """How many actors, and what each has."""

    workers: int
    cpus: float
    gpus: float


def _room(ray: ModuleType, workers: Workers) -> _Room:
    """Return what is asked for, completed by what the cluster has.

    Raises:
        InputError: numbers out of range, or more for one worker than the cluster has.
    """
    n, cpus, gpus = workers
    has = ray.cluster_resources()
    there_cpus, there_gpus = has.get("CPU", 0), has.get("GPU", 0)
    each = (1.0 if there_gpus else 0.0) if gpus is None else gpus
    if cpus <= 0 or each < 0 or (n is not None and n < 1):
        raise InputError("workers and cores for each must be 1 or more, GPUs 0 or more")
    if cpus > there_cpus or each > there_gpus:
        raise InputError(
            f"a worker with {cpus:g} cores and {each:g} GPUs; the cluster has {there_cpus:g} and "
            f"{there_gpus:g}"
        )
    most = int(min(there_cpus / cpus, there_gpus / each if each else there_cpus))
    return _Room(n or max(1, most), cpus, each)


def _chunks(rows: Iterator[Row], size: int) -> Iterator[tuple[int, list[str]]]:
    """Yield (number, rows as JSON) of every chunk."""
    for index, first in enumerate(rows):
        yield index, [json.dumps(row) for row in chain([first], islice(rows, size - 1))]


def _on_actors(
    ray: ModuleType, chunks: Iterator[tuple[int, list[str]]], room: _Room, worker: Sequence[Any]
) -> Iterator[Done]:
    """Yield what became of each chunk, as they are done.

    Raises:
        UserError, LatentFoleyError: what a worker could not record as the fault of a row.
    """
    import pyarrow
    from ray.data import ActorPoolStrategy, from_arrow_refs

    _be_quiet()
    # Rows lie in Ray's object store, which spills to disk; here only references are kept.
    references = [
        ray.put(pyarrow.table({"index": [index], "rows": [rows]})) for index, rows in chunks
    ]
    done = from_arrow_refs(references).map_batches(
        Worker,
        fn_constructor_args=(*worker, max(1, int(room.cpus))),
        batch_size=1,
        compute=ActorPoolStrategy(size=min(room.workers, len(references))),
        num_cpus=room.cpus,
        num_gpus=room.gpus,
    )
    for row in done.iter_rows():
        kind, _, said = row.pop("error").partition(":")
        if said:
            raise (UserError if kind == "user" else LatentFoleyError)(said)
        yield Done(**row)


def _be_quiet() -> None:
    import logging

    from ray.data import DataContext

    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # errors are raised as well


def _absolute(out: str | Path) -> str:
    """Return a place by a name that means the same on every machine."""
    return str(out) if is_remote(str(out)) else str(Path(out).expanduser().resolve())


def _begin(place: Place, settings: BatchSettings) -> None:
    """Make a place, or resume one that was begun with the same settings.

    Raises:
        InputError: it holds something else, was begun with other settings, or refuses.
    """
    now = settings.model_dump_json(indent=2).encode()
    try:
        before = place.read(BATCH)
        if before is None and place.names():
            raise InputError(f"'{place}' holds something else; give a new or an empty place")
        if before is not None:
            was = _flat(json.loads(before))
            require_same_settings(place, was, dict.fromkeys(was) | _flat(json.loads(now)))
        place.write(BATCH, now)
    except OSError as error:
        raise InputError(f"'{place}' cannot be written to: {error.strerror or error}") from None


def _flat(settings: dict[str, Any]) -> dict[str, Any]:
    """Return what `load` takes and the rest of the settings side by side."""
    loading: dict[str, Any] = settings.pop("loading", {})
    return loading | settings


def _remove_leftovers(place: Place, n_chunks: int) -> None:
    """Remove shards and results of chunks that a shorter manifest has no more."""
    used = {Path(part_name(k)).name for k in range(n_chunks)}
    used |= {shard_name(k) for k in range(n_chunks)}
    there = [name for name in place.names() if name.startswith("shard-")]
    there += [f"results/{name}" for name in place.names("results")]
    for name in there:
        if name.rpartition("/")[2] not in used:
            place.remove(name)
