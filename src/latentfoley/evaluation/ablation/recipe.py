"""What an ablation compares: a TOML recipe of cells, prompts, embedders and metrics.

Relative paths in a recipe are relative to the folder the command runs in.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from latentfoley.config import Config
from latentfoley.errors import nearest
from latentfoley.evaluation.ablation.metrics import METRICS
from latentfoley.request import GenerationRequest

# Axes beside those of `generate`'s options: trained models, and the precision they compute in.
MODEL, DTYPE = "model", "dtype"

# What cells may differ in: the rest of a request says which clip it is.
SETTINGS = tuple(
    sorted(
        GenerationRequest.model_fields.keys()
        - {"prompts", "audio_prompt", "seed", "n", "index", "candidate"}
        | {DTYPE}
    )
)

Settings = dict[str, Any]


class AblationRecipe(Config):
    """A recipe; either `grid`, of which every combination is a cell, or a list of `cells`.

    Attributes:
        prompts: texts, or a file of them: .toml (label = [texts]) or a .jsonl manifest.
        limit: so many of the prompts, label by label in turn; None is all.
        n: clips per prompt and seed.
        seeds: of the noise; every cell starts from the same noises.
        metrics: names in `metrics.METRICS`.
        embedders: as in `latentfoley evaluate`; `recognised` needs one with class names.
        reference: reference sounds for FD, KID and KAD, as in `latentfoley evaluate`.
        baselines: each names values of some axes. A cell is compared with the cell that has those
            values and is like it in all else. Without any, every pair of cells is compared.
        permutations, resamples: draws behind p-values and intervals.
        models: label = model, or label = [models] trained alike from several seeds.
        sampling: options of `generate`, and `dtype`, that all cells share.
    """

    prompts: Path | tuple[str, ...]
    limit: int | None = Field(default=None, ge=1)
    n: int = Field(default=1, ge=1)
    seeds: tuple[int, ...] = Field(default=(0,), min_length=1)
    metrics: tuple[str, ...] = Field(min_length=1)
    embedders: tuple[str, ...] = ("clap",)
    reference: Path | None = None
    baselines: tuple[Settings, ...] = ()
    permutations: int = Field(default=1999, ge=99)
    resamples: int = Field(default=1000, ge=20)
    models: dict[str, str | tuple[str, ...]] = Field(default={"tiny": "tiny"}, min_length=1)
    sampling: Settings = Field(default={})
    grid: dict[str, tuple[Any, ...]] = Field(default={})
    cells: tuple[Settings, ...] = ()

    @field_validator("metrics")
    @classmethod
    def _check_metrics(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in METRICS:
                raise ValueError(f"there is no metric '{name}'; {nearest(name, METRICS)}")
        return _distinct(names)

    @field_validator("seeds", "embedders")
    @classmethod
    def _check_distinct(cls, values: tuple[Any, ...]) -> tuple[Any, ...]:
        return _distinct(values)

    @field_validator("sampling")
    @classmethod
    def _check_sampling(cls, sampling: Settings) -> Settings:
        _require_settings(sampling, SETTINGS)
        return sampling

    @field_validator("grid")
    @classmethod
    def _check_grid(cls, grid: dict[str, tuple[Any, ...]]) -> dict[str, tuple[Any, ...]]:
        _require_settings(grid, SETTINGS)
        for values in grid.values():
            _distinct(values)
        return grid

    @field_validator("cells", "baselines")
    @classmethod
    def _check_cells(cls, cells: tuple[Settings, ...]) -> tuple[Settings, ...]:
        for cell in cells:
            _require_settings(cell, (*SETTINGS, MODEL))
        return cells

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.grid and self.cells:
            raise ValueError("give a grid or a list of cells, and not both")
        if len({len(runs) for runs in self.runs.values()}) > 1:
            counts = {label: len(runs) for label, runs in self.runs.items()}
            raise ValueError(f"every label needs as many models as the others, got {counts}")
        needy = [name for name in self.metrics if METRICS[name].takes_reference]
        if needy and self.reference is None:
            raise ValueError(f"{' and '.join(needy)} compare with a reference set: give reference")
        return self

    @property
    def runs(self) -> dict[str, tuple[str, ...]]:
        """The models of every label, one or more."""
        return {
            label: (models,) if isinstance(models, str) else models
            for label, models in self.models.items()
        }


def _require_settings(names: Iterable[str], allowed: tuple[str, ...]) -> None:
    for name in names:
        if name not in allowed:
            hint = " (models stand in [models])" if name in (MODEL, "models") else ""
            raise ValueError(f"unknown setting '{name}'{hint}; {nearest(name, allowed)}")


def _distinct(values: tuple[Any, ...]) -> tuple[Any, ...]:
    for k, value in enumerate(values):
        if value in values[:k]:
            raise ValueError(f"{value!r} stands there twice")
    return values
