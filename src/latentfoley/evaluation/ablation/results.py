"""What an ablation found: values, differences, verdicts, and what they were computed from."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from latentfoley.evaluation.ablation.cells import Cell, Pair
from latentfoley.evaluation.ablation.observed import Observed, draw
from latentfoley.evaluation.ablation.statistics import ALPHA, P, holm, runs_test
from latentfoley.evaluation.metrics.score import Interval
from latentfoley.evaluation.sets.prompts import Prompt
from latentfoley.on_ray import map_on

Verdict = Literal["higher", "lower", "not shown to differ"]


@dataclass(frozen=True)
class CellValue:
    """A metric of one cell; of several models it is the mean of `per_model`.

    `per_prompt` has means in the order of the prompts; it is empty for metrics of sets.
    """

    cell: str
    value: float
    interval: Interval | None
    per_model: tuple[float, ...]
    per_prompt: tuple[float, ...]


@dataclass(frozen=True)
class Difference:
    """Two cells compared.

    Attributes:
        cell, baseline: their labels.
        against: the baseline in the recipe's words; "" where all pairs are compared.
        difference: value of the cell minus that of the baseline.
        interval: 95 %, over prompts; not corrected for the number of comparisons.
        p: of the permutation test.
        p_holm: corrected for all comparisons of this metric; the verdict is by it.
        p_runs: where both cells have several models: the same question about the ways they were
            trained, with a training run as one observation; not corrected.
        verdict: about these models and prompts like these.
    """

    cell: str
    baseline: str
    against: str
    difference: float
    interval: Interval | None
    p: P
    p_holm: float
    p_runs: P | None
    verdict: Verdict


@dataclass(frozen=True)
class Result:
    """One metric, by one embedder ("" where it needs none), in every cell."""

    metric: str
    embedder: str
    unit: str
    better: Literal["lower", "higher", "neither"]
    cells: tuple[CellValue, ...]
    differences: tuple[Difference, ...]

    @property
    def title(self) -> str:
        """The metric and its embedder."""
        return f"{self.metric}, {self.embedder}" if self.embedder else self.metric


@dataclass(frozen=True)
class Ablation:
    """Everything that a table, a picture, a page or a file shows.

    Attributes:
        cells: what was compared.
        prompts: what every cell was asked.
        n_clips: in each cell, of all its models.
        results: per metric and embedder.
        warnings: what could not be computed or cannot be shown.
        origin: recipe, versions and hashes, as plain values.
        samples: prompts with a file of each cell, for players.
    """

    cells: tuple[Cell, ...]
    prompts: tuple[Prompt, ...]
    n_clips: int
    results: tuple[Result, ...]
    warnings: tuple[str, ...]
    origin: dict[str, Any]
    samples: tuple[tuple[str, tuple[str, ...]], ...]

    def to_record(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)


def compare(
    observed: Sequence[Observed],
    cells: Sequence[Cell],
    pairs: Sequence[Pair],
    workers: int | None,
    *,
    ray: bool = False,
) -> list[tuple[tuple[CellValue, ...], tuple[Difference, ...]]]:
    """Return, for each metric, the value of every cell and what can be said about every pair."""
    chosen = [[k] for k in range(len(cells))] + [[pair.one, pair.other] for pair in pairs]
    tasks = (seen.pick(places) for seen in observed for places in chosen)
    drawn = map_on(ray, draw, tasks, workers, as_here=True)
    found = []
    for seen in observed:
        intervals = [next(drawn)[0] for _ in cells]
        tests = [next(drawn) for _ in pairs]
        found.append((_values(seen, cells, intervals), _differences(seen, cells, pairs, tests)))
    return found


def _values(
    observed: Observed, cells: Sequence[Cell], intervals: Sequence[Interval | None]
) -> tuple[CellValue, ...]:
    per_model = [observed.per_model(k) for k in range(len(cells))]
    return tuple(
        CellValue(
            cell.label,
            float(values.mean()),
            interval,
            tuple(values.tolist()),
            tuple(observed.per_prompt(k).tolist()),
        )
        for k, (cell, values, interval) in enumerate(zip(cells, per_model, intervals, strict=True))
    )


def _differences(
    observed: Observed,
    cells: Sequence[Cell],
    pairs: Sequence[Pair],
    tests: Sequence[tuple[Interval | None, P | None]],
) -> tuple[Difference, ...]:
    corrected = holm([p.value for _, p in tests if p])
    differences = []
    for pair, (interval, p), p_holm in zip(pairs, tests, corrected, strict=True):
        assert p is not None  # of pairs there always is one
        one, other = observed.per_model(pair.one), observed.per_model(pair.other)
        difference = float(one.mean() - other.mean())
        differences.append(
            Difference(
                cell=cells[pair.one].label,
                baseline=cells[pair.other].label,
                against=pair.against,
                difference=difference,
                interval=interval,
                p=p,
                p_holm=p_holm,
                p_runs=runs_test(one, other) if len(one) > 1 else None,
                verdict=_verdict(difference, p_holm),
            )
        )
    return tuple(differences)


def _verdict(difference: float, p_holm: float) -> Verdict:
    if p_holm >= ALPHA:
        return "not shown to differ"
    return "higher" if difference > 0 else "lower"
