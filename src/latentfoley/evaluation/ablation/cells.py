"""A recipe → its cells, their clips, and which cells are compared."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from pathlib import Path

from latentfoley.devices import choose_device, choose_dtype
from latentfoley.errors import RecipeError, nearest
from latentfoley.evaluation.ablation.recipe import DTYPE, MODEL, AblationRecipe, Settings
from latentfoley.evaluation.sets.generated import Job, find_job, load_cached
from latentfoley.evaluation.sets.prompts import Prompt
from latentfoley.request import GenerationRequest

Grid = Sequence[Sequence[Sequence[Job]]]
"""The clips of every cell and model, prompt by prompt."""


@dataclass(frozen=True)
class Cell:
    """One combination of settings.

    Attributes:
        label: what tells it from the other cells: "steps=25 sampler=ddim".
        axes: the same as values.
        models: one, or several that were trained alike from several seeds.
        dtype: precision of the models, as `load` takes it.
        settings: options of `generate`, the shared ones included.
    """

    label: str
    axes: Settings
    models: tuple[str, ...]
    dtype: str
    settings: Settings


@dataclass(frozen=True)
class Pair:
    """Two cells to be compared, by their places; `against` is the baseline of the recipe."""

    one: int
    other: int
    against: str = ""


def make_cells(recipe: AblationRecipe) -> list[Cell]:
    """Return every cell, in the order of the recipe.

    Raises:
        RecipeError: a setting out of range, a label without models, two cells alike, one cell.
    """
    points = _points(recipe)
    axes = [name for name in points[0] if any(p[name] != points[0][name] for p in points)]
    cells = [_cell(recipe, point, axes) for point in points]
    labels = [cell.label for cell in cells]
    for label in labels:
        if labels.count(label) > 1:
            raise RecipeError(f"two cells are alike: {label or 'no axis has two values'}")
    if len(cells) < 2:
        raise RecipeError("there is one cell; an ablation compares two or more")
    return cells


def _points(recipe: AblationRecipe) -> list[Settings]:
    """Return the settings of every cell, its model among them, all with the same names."""
    models = {MODEL: tuple(recipe.models)}
    if not recipe.cells:
        grid = models | recipe.grid
        rows = [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]
    else:
        rows = [{MODEL: label, **cell} for cell in recipe.cells for label in _labels(recipe, cell)]
    names = dict.fromkeys(name for row in rows for name in row)
    defaults = {n: f.default for n, f in GenerationRequest.model_fields.items()}
    defaults |= {DTYPE: "auto"} | recipe.sampling
    return [{name: row.get(name, defaults.get(name)) for name in names} for row in rows]


def _labels(recipe: AblationRecipe, cell: Settings) -> Sequence[str]:
    label = cell.get(MODEL)
    if label is None:
        return tuple(recipe.models)
    if label not in recipe.models:
        raise RecipeError(
            f"there is no model '{label}' in [models]; {nearest(label, recipe.models)}"
        )
    return (label,)


def _cell(recipe: AblationRecipe, point: Settings, axes: Sequence[str]) -> Cell:
    settings = {DTYPE: "auto"} | recipe.sampling | point
    models, dtype = recipe.runs[settings.pop(MODEL)], str(settings.pop(DTYPE))
    choose_dtype(dtype, choose_device(None))  # both refuse what cannot be asked for
    GenerationRequest.build("a prompt", **settings)
    chosen = {name: point[name] for name in axes}
    return Cell(_label(chosen), chosen, models, dtype, settings)


def _label(values: Settings) -> str:
    return " ".join(
        f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in values.items()
    )


def make_pairs(cells: Sequence[Cell], baselines: Sequence[Settings]) -> list[Pair]:
    """Return which cells are compared with which; see `AblationRecipe.baselines`.

    Raises:
        RecipeError: a baseline that names no axis or a value none of the cells has, or that leaves
            a cell without a counterpart.
    """
    if not baselines:
        return [Pair(b, a) for a, b in combinations(range(len(cells)), 2)]
    pairs: dict[frozenset[int], Pair] = {}
    for baseline in baselines:
        _require_axes(cells, baseline)
        for k, cell in enumerate(cells):
            wanted = cell.axes | baseline
            found = [j for j, other in enumerate(cells) if other.axes == wanted]
            if not found:
                raise RecipeError(f"the baseline {baseline} of the cell '{cell.label}' is no cell")
            if found[0] != k:
                pairs.setdefault(frozenset((k, found[0])), Pair(k, found[0], _label(baseline)))
    return list(pairs.values())


def _require_axes(cells: Sequence[Cell], baseline: Settings) -> None:
    axes = cells[0].axes
    for name, value in baseline.items():
        if name not in axes:
            raise RecipeError(
                f"a baseline names '{name}', in which no cells differ; {nearest(name, axes)}"
            )
        values = dict.fromkeys(cell.axes[name] for cell in cells)
        if value not in values:
            raise RecipeError(f"no cell has {name} = {value!r}; {nearest(str(value), values)}")


def lay_out(
    recipe: AblationRecipe, cells: Sequence[Cell], prompts: Sequence[Prompt], folder: Path
) -> Grid:
    """Return the clips of every cell and model: per prompt, seed by seed, clip by clip."""
    load_cached.cache_clear()  # a folder may hold other weights than an hour ago
    jobs: dict[tuple[str, str], list[Job]] = {}
    for model, dtype in dict.fromkeys((m, cell.dtype) for cell in cells for m in cell.models):
        for cell in cells:
            if model in cell.models and dtype == cell.dtype:
                requests = _requests(recipe, cell, prompts)
                jobs[model, cell.label] = [find_job(folder, model, dtype, one) for one in requests]
    return [[jobs[model, cell.label] for model in cell.models] for cell in cells]


def _requests(
    recipe: AblationRecipe, cell: Cell, prompts: Sequence[Prompt]
) -> Iterator[GenerationRequest]:
    for prompt in prompts:
        for seed in recipe.seeds:
            for k in range(recipe.n):
                yield GenerationRequest.build(
                    prompt.text, seed=seed, index=prompt.index(k), **cell.settings
                )


def in_turn(grid: Grid) -> Iterator[Job]:
    """Yield all jobs, each prompt in every cell before the next one.

    A run that was stopped then has whole prompts, which a lower limit can compare. Models come one
    after the other, to be loaded once.
    """
    by_model: dict[tuple[str, str], list[Sequence[Job]]] = {}
    for cell in grid:
        for jobs in cell:
            by_model.setdefault((jobs[0].model, jobs[0].made_by.dtype), []).append(jobs)
    for rows in by_model.values():
        for column in zip(*rows, strict=True):
            yield from column
