"""The clips of every cell, made once: named by everything that decides their samples.

A clip lies under the hash of its model, its settings, its prompt and its noise. Cells, recipes and
runs that ask for the same clip find it there, and nothing that is asked otherwise can be mistaken
for it.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch

from latentfoley.data.parallel import ordered_map
from latentfoley.evaluation.ablation.cells import Cell
from latentfoley.evaluation.ablation.prompts import Prompt
from latentfoley.evaluation.ablation.recipe import AblationRecipe
from latentfoley.pipeline import Model, Progress
from latentfoley.request import GenerationRequest

_VERSION = 1  # to be raised when the same settings begin to give another sound


@dataclass(frozen=True)
class Job:
    """One clip to make, and where to write it."""

    path: Path
    model: str
    request: GenerationRequest


Grid = Sequence[Sequence[Sequence[Job]]]
"""The clips of every cell and model, prompt by prompt."""


def lay_out(
    recipe: AblationRecipe, cells: Sequence[Cell], prompts: Sequence[Prompt], folder: Path
) -> Grid:
    """Return the clips of every cell and model: per prompt, seed by seed, clip by clip."""
    _load.cache_clear()  # a folder may hold other weights than an hour ago
    identities = {model: identify(model) for cell in cells for model in cell.models}

    def jobs(cell: Cell, model: str) -> list[Job]:
        return [
            _job(folder, model, identities[model], request)
            for prompt in prompts
            for seed in recipe.seeds
            for k in range(recipe.n)
            for request in [_request(prompt, seed, k, cell)]
        ]

    return [[jobs(cell, model) for model in cell.models] for cell in cells]


def make_missing(grid: Grid, workers: int, progress: Progress | None = None) -> int:
    """Make the clips that are not there yet, and return how many.

    Each worker is a process that computes in one thread. An interrupted run leaves whole files,
    and the next one goes on.
    """
    missing = list({job.path: job for job in _in_turn(grid) if not job.path.is_file()}.values())
    threads = torch.get_num_threads()
    try:
        for done, _ in enumerate(ordered_map(make, missing, workers), start=1):
            if progress is not None:
                progress(done, len(missing))
    finally:
        torch.set_num_threads(threads)
    return len(missing)


def _in_turn(grid: Grid) -> Iterator[Job]:
    """Yield all jobs, each prompt in every cell before the next one.

    A run that was stopped then has whole prompts, which a lower limit can compare. Models come one
    after the other, to be loaded once.
    """
    by_model: dict[str, list[Sequence[Job]]] = {}
    for cell in grid:
        for jobs in cell:
            by_model.setdefault(jobs[0].model, []).append(jobs)
    for rows in by_model.values():
        for column in zip(*rows, strict=True):
            yield from column


def make(job: Job) -> None:
    """Make one clip."""
    torch.set_num_threads(1)
    job.path.parent.mkdir(parents=True, exist_ok=True)
    (clip,) = _load(job.model).run(job.request)
    clip.save(job.path)


@lru_cache(maxsize=1)  # jobs come model by model
def _load(model: str) -> Model:
    from latentfoley.loading import load

    return load(model)


def identify(model: str) -> str:
    """Return a hash of the weights of a model and of everything that its folder says about it."""
    loaded = _load(model)
    return _hash([loaded.weights_hash, loaded.config.model_dump(mode="json"), loaded.compat])


def _request(prompt: Prompt, seed: int, k: int, cell: Cell) -> GenerationRequest:
    return GenerationRequest.build(prompt.text, seed=seed, index=prompt.index(k), **cell.settings)


def _job(folder: Path, model: str, identity: str, request: GenerationRequest) -> Job:
    # What is switched off is left out, so that a new option leaves old clips their names.
    asked = {name: v for name, v in request.model_dump(mode="json").items() if v is not False}
    which = {name: asked.pop(name) for name in ("prompts", "seed", "index")}
    setting = _hash([_VERSION, identity, asked])
    return Job(folder / setting / f"{_hash([which])}.flac", model, request)


def _hash(values: list[Any]) -> str:
    return sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]
