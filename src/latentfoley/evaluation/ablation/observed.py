"""Clips of every cell → what each metric is computed from, and values, intervals and tests."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol, Self, cast

import numpy as np
from jaxtyping import Float64, Int64

from latentfoley.evaluation.ablation.cells import Grid
from latentfoley.evaluation.ablation.metrics import (
    METRICS,
    CellFeatures,
    ClipMetric,
    LevelMetric,
    SetMetric,
)
from latentfoley.evaluation.ablation.statistics import (
    Clusters,
    P,
    SetValue,
    draw_prompts,
    mean_interval,
    set_interval,
    sign_flip_test,
    swap_test,
)
from latentfoley.evaluation.embedders import TextEmbedder, class_names
from latentfoley.evaluation.features.cache import Cache
from latentfoley.evaluation.features.extract import (
    embed_texts,
    extract_features,
    extract_levels,
)
from latentfoley.evaluation.features.extractors import FeatureExtractor, FeatureSet
from latentfoley.evaluation.metrics.score import Interval, Rows, Values, rate_score
from latentfoley.evaluation.sets.clips import Clip, ClipSet
from latentfoley.evaluation.sets.generated import Job
from latentfoley.evaluation.sets.prompts import Prompt


@dataclass(frozen=True)
class Draws:
    """How often to draw, for intervals and for p-values."""

    resamples: int
    permutations: int
    seed: int = 0


class Observed(Protocol):
    """One metric in some cells, as it was observed."""

    @property
    def cells(self) -> Sequence[Any]:
        """What it is computed from, cell by cell."""

    def pick(self, places: Sequence[int]) -> Self:
        """Return the same of these cells alone."""

    def per_model(self, cell: int) -> Values:
        """Return the value of each model of a cell."""

    def per_prompt(self, cell: int) -> Values:
        """Return the value of each prompt, over all models; none where only sets have values."""

    def interval(self) -> Interval | None:
        """Return the 95 % interval of the first cell's value, over prompts."""

    def difference_interval(self) -> Interval | None:
        """Return the 95 % interval of the first cell's value minus the second's, over prompts."""

    def test(self) -> P:
        """Test whether the first two cells differ."""


@dataclass(frozen=True, eq=False)
class ClipNumbers:
    """A number per clip, for every cell: model × prompt × clip; `share` where it is 0 or 1."""

    cells: Sequence[Float64[np.ndarray, "R P C"]]
    share: bool
    draws: Draws

    def pick(self, places: Sequence[int]) -> Self:
        """Return the same of these cells alone."""
        return replace(self, cells=[self.cells[k] for k in places])

    def per_model(self, cell: int) -> Values:
        """Return the mean over the clips of each model."""
        return np.asarray(self.cells[cell].mean(axis=(1, 2)))

    def per_prompt(self, cell: int) -> Values:
        """Return the mean over the clips of each prompt."""
        return np.asarray(self.cells[cell].mean(axis=(0, 2)))

    def interval(self) -> Interval | None:
        """Return the bootstrap's interval; of a share Wilson's, with prompts for its number."""
        per_prompt = self.per_prompt(0)
        if self.share and len(per_prompt) > 1:
            return rate_score("share", per_prompt, caveat="").interval
        return mean_interval(per_prompt, self._resamples)

    def difference_interval(self) -> Interval | None:
        """Return the paired bootstrap's interval."""
        return mean_interval(self._differences, self._resamples)

    def test(self) -> P:
        """Flip the signs of prompts."""
        return sign_flip_test(self._differences, self.draws.permutations, self.draws.seed)

    @property
    def _differences(self) -> Values:
        return np.asarray(self.per_prompt(0) - self.per_prompt(1))

    @property
    def _resamples(self) -> Int64[np.ndarray, "B P"]:
        return draw_prompts(self.cells[0].shape[1], self.draws.resamples, self.draws.seed)


@dataclass(frozen=True, eq=False)
class SetRows:
    """The rows of every prompt, for every cell and model, and a number of a set of them."""

    cells: Sequence[Clusters]
    of: SetValue
    draws: Draws

    def pick(self, places: Sequence[int]) -> Self:
        """Return the same of these cells alone."""
        return replace(self, cells=[self.cells[k] for k in places])

    def per_model(self, cell: int) -> Values:
        """Return the number of each model's set."""
        return np.array([self.of(np.concatenate(list(prompts))) for prompts in self.cells[cell]])

    def per_prompt(self, cell: int) -> Values:
        """Return nothing: one prompt is no set."""
        return np.empty(0)

    def interval(self) -> Interval | None:
        """Return the bootstrap's interval."""
        return set_interval(lambda rows: self._value(0, rows), self._resamples)

    def difference_interval(self) -> Interval | None:
        """Return the paired bootstrap's interval."""
        return set_interval(
            lambda rows: self._value(0, rows) - self._value(1, rows), self._resamples
        )

    def test(self) -> P:
        """Swap the clips of prompts."""
        one, other = self.cells[:2]
        return swap_test(one, other, self.of, self.draws.permutations, self.draws.seed)

    def _value(self, cell: int, prompts: Sequence[int]) -> float:
        """Return the mean over models of the number of their sets, of these prompts alone."""
        sets = [np.concatenate([model[p] for p in prompts]) for model in self.cells[cell]]
        return float(np.mean([self.of(rows) for rows in sets]))

    @property
    def _resamples(self) -> Int64[np.ndarray, "B P"]:
        return draw_prompts(len(self.cells[0][0]), self.draws.resamples, self.draws.seed)


@dataclass(frozen=True, eq=False)
class Observer:
    """Every cell of an ablation, and the reference where there is one."""

    grid: Grid
    prompts: Sequence[Prompt]
    reference: ClipSet | None
    cache: Cache
    draws: Draws
    ray: bool = False

    def levels(self, names: Sequence[str]) -> Iterator[tuple[str, Observed]]:
        """Yield every metric that needs no embedder."""
        wanted = {
            name: metric for name in names if isinstance(metric := METRICS[name], LevelMetric)
        }
        if not wanted:
            return
        levels = [
            [extract_levels(_clips(jobs), self.cache, ray=self.ray) for jobs in models]
            for models in self.grid
        ]
        for name, metric in wanted.items():
            numbers = [
                [np.array([metric.of(one) for one in run]) for run in cell] for cell in levels
            ]
            yield name, self._numbers(numbers, metric.share)

    def features(
        self, extractor: FeatureExtractor, names: Sequence[str]
    ) -> Iterator[tuple[str, Observed]]:
        """Yield every metric that an embedder can compute."""
        cells = [[self._cell(extractor, jobs) for jobs in models] for models in self.grid]
        reference = np.empty((0, 0))
        if self.reference is not None:
            found = extract_features(self.reference, extractor, self.cache, ray=self.ray)
            reference = found.rows
        for name in names:
            metric = METRICS[name]
            if isinstance(metric, ClipMetric):
                numbers = [[metric.of(run) for run in cell] for cell in cells]
                computed = [[run for run in cell if run is not None] for cell in numbers]
                if all(computed):
                    yield name, self._numbers(computed, metric.share)
            elif isinstance(metric, SetMetric) and (
                metric.source == "rows" or extractor.embedder.classes
            ):
                rows = [[self._by_prompt(metric, run.features) for run in cell] for cell in cells]
                yield name, SetRows(rows, partial(_against, name, reference), self.draws)

    def _cell(self, extractor: FeatureExtractor, jobs: Sequence[Job]) -> CellFeatures:
        clips, embedder = _clips(jobs), extractor.embedder
        names, texts = class_names(embedder), None
        if hasattr(embedder, "embed_texts"):
            captions = [clip.caption for clip in clips.clips]
            texts = embed_texts(captions, cast(TextEmbedder, embedder), self.cache)
        classes = [names.index(p.label) for p in self.prompts if p.label in names]
        return CellFeatures(
            extract_features(clips, extractor, self.cache, ray=self.ray),
            texts,
            np.repeat(classes, len(jobs) // len(self.prompts)) if classes else None,
        )

    def _numbers(self, numbers: Sequence[Sequence[Values]], share: bool) -> ClipNumbers:
        shape = (len(numbers[0]), len(self.prompts), -1)  # (R, P, C)
        return ClipNumbers([np.stack(cell).reshape(shape) for cell in numbers], share, self.draws)

    def _by_prompt(self, metric: SetMetric, features: FeatureSet) -> list[Rows]:
        """Return the rows of every prompt: of all its windows where the embedder pools them."""
        if metric.source == "logits" and features.logits is not None:
            rows, owners = features.logits, np.arange(len(features.logits))
        else:
            rows, owners = features.rows, features.owners
        each = len(features.windows) // len(self.prompts)
        return [rows[owners // each == p] for p in range(len(self.prompts))]


def _against(name: str, reference: Rows, rows: Rows) -> float:
    """Return a metric of sets by its name, which can be sent to another process."""
    metric = METRICS[name]
    assert isinstance(metric, SetMetric)
    return metric.of(rows, reference)


def _clips(jobs: Sequence[Job]) -> ClipSet:
    clips = [Clip(job.path.stem, job.path, job.request.prompts[0]) for job in jobs]
    return ClipSet(Path("the clips of the ablation"), tuple(clips))


def draw(observed: Observed) -> tuple[Interval | None, P | None]:
    """Return the interval of one cell, or that of the difference of two, and its p.

    It is the slow part, and depends on nothing else, so that processes can share it.
    """
    if len(observed.cells) == 1:
        return observed.interval(), None
    return observed.difference_interval(), observed.test()
