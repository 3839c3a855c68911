"""A recipe → clips, features, values, tests: the order of an ablation."""

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from latentfoley.evaluation.ablation.cells import (
    Cell,
    Grid,
    Pair,
    in_turn,
    lay_out,
    make_cells,
    make_pairs,
)
from latentfoley.evaluation.ablation.metrics import METRICS, require_embedders
from latentfoley.evaluation.ablation.observed import Draws, Observer
from latentfoley.evaluation.ablation.recipe import AblationRecipe
from latentfoley.evaluation.ablation.results import Ablation, Result, compare
from latentfoley.evaluation.ablation.statistics import ALPHA
from latentfoley.evaluation.embedders import Embedder, find_embedder
from latentfoley.evaluation.features.cache import Cache
from latentfoley.evaluation.features.extractors import FeatureExtractor
from latentfoley.evaluation.metrics.score import FEWEST_CLIPS
from latentfoley.evaluation.sets.choose import as_set
from latentfoley.evaluation.sets.generated import generate_missing, load_cached
from latentfoley.evaluation.sets.prompts import Prompt, read_labelled_prompts
from latentfoley.on_ray import connected, require_ray
from latentfoley.pools import require_workers
from latentfoley.progress import Progress
from latentfoley.version import __version__

_SAMPLES = 3  # prompts that the page plays


def ablate(
    recipe: AblationRecipe,
    folder: Path,
    *,
    workers: int | None = None,
    limit: int | None = None,
    progress: Progress | None = None,
    ray: bool = False,
) -> Ablation:
    """Generate what is missing of every cell, extract features, and test what differs.

    Args:
        recipe: what to compare.
        folder: keeps the clips (`clips/`) and their features (`features/`), so that an
            interrupted run resumes and another recipe shares what it can.
        workers: processes that generate clips and draw, or tasks at once on a cluster; None is one
            per core.
        limit: in place of the recipe's.
        progress: called with (clips generated, clips to generate).
        ray: clips, features and draws are tasks of Ray: of the cluster of the environment's
            RAY_ADDRESS, else of this machine. Models, weights, recordings and `folder` lie where
            all machines find them.

    Raises:
        RecipeError, InputError: the recipe does not hold together, which is said before anything is
            generated.
        ModelError, AudioFileError: a model or a recording that cannot be used.
        MissingExtraError: Ray is asked for and not installed.
    """
    require_workers(workers)
    if ray:
        require_ray()
    cells = make_cells(recipe)
    pairs = make_pairs(cells, recipe.baselines)
    prompts = read_labelled_prompts(recipe.prompts, recipe.limit if limit is None else limit)
    embedders = [find_embedder(spec) for spec in recipe.embedders]
    require_embedders(recipe.metrics, embedders, prompts)
    reference = as_set(recipe.reference) if recipe.reference else None
    grid = lay_out(recipe, cells, prompts, folder / "clips")
    draws = Draws(recipe.resamples, recipe.permutations)
    observer = Observer(grid, prompts, reference, Cache(folder / "features"), draws, ray)
    with connected() if ray else nullcontext():
        generate_missing(list(in_turn(grid)), workers, progress, ray=ray)
        results = _results(recipe, observer, embedders, cells, pairs, workers)
    return Ablation(
        cells=tuple(cells),
        prompts=tuple(prompts),
        n_clips=sum(len(jobs) for jobs in grid[0]),
        results=results,
        warnings=tuple(_warnings(results, len(prompts))),
        origin=_origin(recipe, cells, embedders, len(reference.clips) if reference else 0),
        samples=_samples(grid, prompts, folder),
    )


def _results(
    recipe: AblationRecipe,
    observer: Observer,
    embedders: Sequence[Embedder],
    cells: Sequence[Cell],
    pairs: Sequence[Pair],
    workers: int | None,
) -> tuple[Result, ...]:
    """Return the results, metric by metric in the order of the recipe."""
    observed = [("", name, one) for name, one in observer.levels(recipe.metrics)]
    for spec, embedder in zip(recipe.embedders, embedders, strict=True):
        extractor = FeatureExtractor(spec, embedder, embedder.preprocessing)
        by_name = observer.features(extractor, recipe.metrics)
        observed += [(embedder.name, name, one) for name, one in by_name]
    observed.sort(key=lambda found: recipe.metrics.index(found[1]))
    compared = compare([one for _, _, one in observed], cells, pairs, workers, ray=observer.ray)
    return tuple(
        Result(name, embedder, METRICS[name].unit, METRICS[name].better, *values)
        for (embedder, name, _), values in zip(observed, compared, strict=True)
    )


def _warnings(results: Sequence[Result], n_prompts: int) -> list[str]:
    warnings = []
    if n_prompts < FEWEST_CLIPS:
        warnings.append(f"{n_prompts} prompts are too few to say anything about others")
    for result in results[:1]:  # the least p depends on prompts and draws alone
        least, n = max(one.p.least for one in result.differences), len(result.differences)
        if least * n >= ALPHA:
            warnings.append(
                f"no difference can be shown: {n} comparisons of {n_prompts} prompts cannot give "
                f"a corrected p below {least * n:.2g}; more prompts, fewer cells, more permutations"
            )
    return warnings


def _origin(
    recipe: AblationRecipe, cells: Sequence[Cell], embedders: Sequence[Embedder], n_reference: int
) -> dict[str, Any]:
    models = {model: cell.dtype for cell in cells for model in cell.models}
    return {
        "latentfoley": __version__,
        "torch": torch.__version__,
        "recipe": recipe.model_dump(mode="json"),
        "models": {
            model: load_cached(model, dtype).identity.model_dump()
            for model, dtype in models.items()
        },
        "embedders": [
            {
                "name": one.name,
                "weights_hash": one.weights_hash,
                "preprocessing": one.preprocessing.rules,
            }
            for one in embedders
        ],
        "n_reference": n_reference,
    }


def _samples(
    grid: Grid, prompts: Sequence[Prompt], folder: Path
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return a few prompts, evenly spread, each with its first clip in every cell."""
    n = min(_SAMPLES, len(prompts))
    chosen = [len(prompts) * (2 * k + 1) // (2 * n) for k in range(n)]
    each = len(grid[0][0]) // len(prompts)
    return tuple(
        (
            prompts[p].text,
            tuple(cell[0][p * each].path.relative_to(folder).as_posix() for cell in grid),
        )
        for p in chosen
    )
