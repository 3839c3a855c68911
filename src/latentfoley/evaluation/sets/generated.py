"""Prompts → clips on disk, generated once and found again: the cache of `evaluate` and `ablate`.

`provenance.identity` says which clip a file is, and every file carries it. A file is used where
that is the identity asked for, and generated otherwise: another model, adapter, setting, version or
kind of device never finds clips that are not its own.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from platform import node
from queue import SimpleQueue
from typing import Any

import torch

from latentfoley.checkpoints.registry import PUBLISHED
from latentfoley.checkpoints.tensors import PICKLES
from latentfoley.errors import ModelError, UserError
from latentfoley.evaluation.sets.clips import Clip, ClipSet, in_turn, require_set
from latentfoley.evaluation.sets.prompts import Prompt
from latentfoley.on_ray import map_in_tasks
from latentfoley.pipeline import Model
from latentfoley.place_names import is_remote
from latentfoley.pools import (
    compute_on_one_core,
    map_in_processes,
    map_in_threads,
    require_workers,
)
from latentfoley.progress import Progress
from latentfoley.provenance import ModelIdentity, identity, read_provenance
from latentfoley.request import GenerationRequest

_AT_ONCE = 256  # prompts of a request: bounds what is embedded together


@dataclass(frozen=True)
class Job:
    """One clip to generate.

    Attributes:
        path: where to write it.
        model: what `load` takes.
        made_by: which model that is, and on which kind of device.
        request: of this clip alone.
    """

    path: Path
    model: str
    made_by: ModelIdentity
    request: GenerationRequest

    @property
    def identity(self) -> str:
        """Of its samples."""
        return identity(self.made_by, self.request)

    @property
    def is_cached(self) -> bool:
        """Whether the file is there and holds this clip."""
        try:
            record = read_provenance(self.path) if self.path.is_file() else None
        except UserError:
            return False
        return record is not None and record.identity == self.identity


def is_model(name: str, *, asked_for: bool) -> bool:
    """Return whether what is to be scored is a model, which generates its set first.

    Args:
        name: what the user gave.
        asked_for: whether captions or a data set were given, so that what is no place here may be
            a model on the hub.
    """
    if is_remote(name):
        return False
    path = Path(name).expanduser()
    if name in ("tiny", *PUBLISHED) and not path.exists():
        return True
    if path.is_dir():
        return (path / "model_index.json").is_file()
    return path.suffix in PICKLES if path.exists() else asked_for


def generate_set(
    model: Model,
    prompts: Sequence[Prompt],
    folder: Path,
    *,
    limit: int | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> ClipSet:
    """Generate a clip for every prompt that has none yet, and return the set.

    Clip k of the prompts is the clip that `latentfoley generate` gives with the same settings and
    `--index k`. The set lies in a folder of its own, and its files are named by the prompts' keys.

    Args:
        model: what generates.
        prompts: in the order that numbers the clips.
        folder: where sets of clips are kept, each in a folder of its own.
        limit: so many, drawn evenly over their kinds; they are the same with and without it.
        progress: called after every clip with (clips generated, clips to generate).
        options: of `GenerationRequest`, without prompts, n and index.

    Raises:
        InputError: an option or a prompt that is refused, or fewer than two prompts.
        AudioFileError: a clip cannot be written.
    """
    request = GenerationRequest.build([prompt.text for prompt in prompts], **options)
    settings = request.model_copy(update={"prompts": ()})
    place = folder / f"{_slug(model.name)}-{identity(model.identity, settings)[:12]}"
    by_key = sorted(enumerate(prompts), key=lambda pair: pair[1].key)
    drawn = in_turn(by_key, lambda pair: pair[1].kind)[:limit]
    numbered = sorted(drawn, key=lambda pair: pair[1].key)
    paths = {k: place / f"{prompt.key}.wav" for k, prompt in numbered}
    clips = tuple(Clip(prompt.key, paths[k], prompt.text, prompt.label) for k, prompt in numbered)
    require_set(place, clips)
    jobs = [
        Job(path, model.name, model.identity, request.clip(k)) for k, path in sorted(paths.items())
    ]
    missing = [job for job in jobs if not job.is_cached]
    for n_done, _ in enumerate(_generate(model, missing), start=1):
        if progress is not None:
            progress(n_done, len(missing))
    return ClipSet(place, clips, _about(model, settings))


def find_job(folder: Path, model: str, dtype: str, request: GenerationRequest) -> Job:
    """Return the job of one clip in a folder that many models and settings share."""
    loaded = load_cached(model, dtype)
    asked = identity(loaded.identity, request)
    return Job(folder / asked[:2] / f"{asked}.flac", model, loaded.identity, request)


def generate_missing(
    jobs: Sequence[Job],
    workers: int | None,
    progress: Progress | None = None,
    *,
    ray: bool = False,
) -> int:
    """Generate the clips that are not there yet, and return how many.

    On a CPU each worker is a process that computes in one thread. With GPUs there is one worker
    per GPU, a thread of this process, whatever `workers` says. An interrupted run leaves whole
    files, and the next one resumes.

    On Ray each clip is a task, on the kind of device that this machine has.

    Raises:
        ModelError: another machine has another model under the name.
    """
    missing = list({job.path: job for job in jobs if not job.is_cached}.values())
    threads = torch.get_num_threads()
    devices = _gpus()
    if ray:
        done = map_in_tasks(generate_elsewhere, missing, workers, gpus=bool(devices))
    elif devices:
        done = _on_gpus(missing, devices)
    else:
        done = map_in_processes(generate_one, missing, require_workers(workers))
    try:
        for n_done, _ in enumerate(done, start=1):
            if progress is not None:
                progress(n_done, len(missing))
    finally:
        torch.set_num_threads(threads)
    return len(missing)


def generate_one(job: Job) -> None:
    """Generate one clip on the CPU, in one thread."""
    compute_on_one_core()
    list(_generate(load_cached(job.model, job.made_by.dtype), [job]))


def generate_elsewhere(job: Job) -> None:
    """Generate one clip on a machine that may have other models and devices than a job's."""
    compute_on_one_core()
    list(_generate(_load_same(job.model, job.made_by), [job]))


@lru_cache(maxsize=1)
def _load_same(model: str, wanted: ModelIdentity) -> Model:
    loaded = _load(model, wanted.dtype, wanted.device)
    if loaded.identity != wanted:
        there, here = loaded.identity.model_dump(), wanted.model_dump()
        differ = [f"{k} {there[k]} instead of {here[k]}" for k in here if there[k] != here[k]]
        raise ModelError(
            f"the model '{model}' on {node()} is not the one where the command was given: "
            f"{', '.join(differ)}"
        )
    return loaded


@lru_cache(maxsize=1)  # jobs come model by model
def load_cached(model: str, dtype: str) -> Model:
    """Return a model in a precision (see `load`), the last one without loading it again."""
    return _load(model, dtype)


def _load(model: str, dtype: str, device: str | None = None) -> Model:
    from latentfoley.loading import load

    return load(model, dtype=dtype, device=device)


def _on_gpus(jobs: Sequence[Job], devices: Sequence[str]) -> Iterator[None]:
    """Generate clips in threads, each of which waits for a GPU that is free."""
    free: SimpleQueue[Callable[[str, str], Model]] = SimpleQueue()
    for device in devices:
        free.put(lru_cache(maxsize=1)(partial(_load, device=device)))

    def generate(job: Job) -> None:
        load_there = free.get()
        try:
            list(_generate(load_there(job.model, job.made_by.dtype), [job]))
        finally:
            free.put(load_there)

    return map_in_threads(generate, jobs)


def _gpus() -> list[str]:
    return [f"cuda:{k}" for k in range(torch.cuda.device_count())]


def _generate(model: Model, jobs: Sequence[Job]) -> Iterator[Path]:
    """Write the clips of jobs with equal settings, neighbouring numbers in one request."""
    for some in _neighbours(jobs):
        prompts = tuple(prompt for job in some for prompt in job.request.prompts)
        request = some[0].request.model_copy(update={"prompts": prompts})
        for clip, job in zip(model.run(request), some, strict=True):
            job.path.parent.mkdir(parents=True, exist_ok=True)
            yield clip.save(job.path)


def _neighbours(jobs: Sequence[Job]) -> Iterator[list[Job]]:
    some: list[Job] = []
    for job in jobs:
        is_next = some and job.request.index == some[-1].request.index + 1
        if some and (not is_next or len(some) == _AT_ONCE):
            yield some
            some = []
        some.append(job)
    if some:
        yield some


def _about(model: Model, settings: GenerationRequest) -> dict[str, str]:
    """Return the model and everything else that decides samples, for reports."""
    left_out = {"prompts", "audio_prompt", "n", "index", "candidate"}
    asked = {name: v for name, v in settings.settings().items() if name not in left_out}
    values = {"model": model.name, **model.identity.model_dump(), **asked}
    return {name: str(value) for name, value in values.items() if value not in (None, "")}


def _slug(name: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in Path(name).name).strip("-") or "model"
