"""Clips of every cell → what each metric sees of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from latentfoley.evaluation.ablation.cells import Grid
from latentfoley.evaluation.ablation.ears import class_names
from latentfoley.evaluation.ablation.metrics import (
    METRICS,
    ClipMetric,
    LevelMetric,
    SetMetric,
    Take,
)
from latentfoley.evaluation.ablation.observed import ClipNumbers, Draws, Observed, SetRows
from latentfoley.evaluation.ablation.prompts import Prompt
from latentfoley.evaluation.embedders import Embedder
from latentfoley.evaluation.features.cache import Cache
from latentfoley.evaluation.features.extract import Heard, hear, hear_levels
from latentfoley.evaluation.metrics.score import Rows, Values
from latentfoley.evaluation.sets.clips import Clip
from latentfoley.evaluation.sets.generated import Job

_NOWHERE = Path("the clips of the ablation")


@dataclass(frozen=True, eq=False)
class Listener:
    """Listens to every cell, and to the reference where there is one."""

    grid: Grid
    prompts: Sequence[Prompt]
    reference: tuple[Path, Sequence[Clip]] | None
    cache: Cache
    draws: Draws

    def levels(self, names: Sequence[str]) -> Iterator[tuple[str, Observed]]:
        """Yield every metric that needs no embedder."""
        wanted = {
            name: metric for name in names if isinstance(metric := METRICS[name], LevelMetric)
        }
        if not wanted:
            return
        heard = [
            [hear_levels(_NOWHERE, _clips(jobs), self.cache) for jobs in models]
            for models in self.grid
        ]
        for name, metric in wanted.items():
            numbers = [
                [np.array([metric.of(one) for one in run]) for run in cell] for cell in heard
            ]
            yield name, self._numbers(numbers, metric.share)

    def through(self, ear: Embedder, names: Sequence[str]) -> Iterator[tuple[str, Observed]]:
        """Yield every metric that an embedder can compute."""
        takes = [[self._take(ear, jobs) for jobs in models] for models in self.grid]
        real = np.empty((0, 0))
        if self.reference is not None:
            real = hear(*self.reference, ear, ear.reading, self.cache).rows
        for name in names:
            metric = METRICS[name]
            if isinstance(metric, ClipMetric):
                numbers = [[metric.of(take) for take in cell] for cell in takes]
                known = [[run for run in cell if run is not None] for cell in numbers]
                if all(known):
                    yield name, self._numbers(known, metric.share)
            elif isinstance(metric, SetMetric) and (metric.source == "rows" or ear.classes):
                rows = [[self._by_prompt(metric, take.heard) for take in cell] for cell in takes]
                yield name, SetRows(rows, partial(_against, name, real), self.draws)

    def _take(self, ear: Embedder, jobs: Sequence[Job]) -> Take:
        clips, embed_texts = _clips(jobs), getattr(ear, "embed_texts", None)
        names = class_names(ear)
        classes = [names.index(p.label) for p in self.prompts if p.label in names]
        return Take(
            hear(_NOWHERE, clips, ear, ear.reading, self.cache),
            embed_texts([clip.caption for clip in clips]) if embed_texts else None,
            np.repeat(classes, len(jobs) // len(self.prompts)) if classes else None,
        )

    def _numbers(self, numbers: Sequence[Sequence[Values]], share: bool) -> ClipNumbers:
        shape = (len(numbers[0]), len(self.prompts), -1)  # (R, P, C)
        return ClipNumbers([np.stack(cell).reshape(shape) for cell in numbers], share, self.draws)

    def _by_prompt(self, metric: SetMetric, heard: Heard) -> list[Rows]:
        """Return the rows of every prompt: of all its windows where the embedder pools them."""
        if metric.source == "logits" and heard.logits is not None:
            rows, owners = heard.logits, np.arange(len(heard.logits))
        else:
            rows, owners = heard.rows, heard.owners
        each = len(heard.windows) // len(self.prompts)
        return [rows[owners // each == p] for p in range(len(self.prompts))]


def _against(name: str, reference: Rows, rows: Rows) -> float:
    """Return a metric of sets by its name, which can be sent to another process."""
    metric = METRICS[name]
    assert isinstance(metric, SetMetric)
    return metric.of(rows, reference)


def _clips(jobs: Sequence[Job]) -> list[Clip]:
    return [Clip(job.path.stem, job.path, job.request.prompts[0]) for job in jobs]
