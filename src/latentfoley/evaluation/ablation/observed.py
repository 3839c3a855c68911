"""What a metric sees of every cell, and what follows from it: values, intervals, tests."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

import numpy as np
from jaxtyping import Float64, Int64

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
from latentfoley.evaluation.metrics.score import Interval, Values, rate_score


@dataclass(frozen=True)
class Draws:
    """How often to draw, for intervals and for p-values."""

    resamples: int
    permutations: int
    seed: int = 0


class Observed(Protocol):
    """One metric in some cells."""

    @property
    def cells(self) -> Sequence[Any]:
        """What it sees of each cell."""

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


def draw(observed: Observed) -> tuple[Interval | None, P | None]:
    """Return the interval of one cell, or that of the difference of two, and its p.

    It is the slow part, and depends on nothing else, so that processes can share it.
    """
    if len(observed.cells) == 1:
        return observed.interval(), None
    return observed.difference_interval(), observed.test()
