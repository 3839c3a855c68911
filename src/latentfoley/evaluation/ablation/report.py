"""An ablation as tables for the terminal, as JSON, and as one HTML page."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from latentfoley.evaluation.ablation.results import Ablation, CellValue, Difference, Result
from latentfoley.evaluation.report import ARROWS, number
from latentfoley.webpage import render, write_page

if TYPE_CHECKING:
    from rich.table import Table

Row = list[str]


def write_all(ablation: Ablation, folder: Path) -> None:
    """Write `results.json` and `report.html`.

    Raises:
        InputError: the folder cannot be written to.
    """
    write_page(folder / "results.json", json.dumps(ablation.to_record(), indent=1) + "\n")
    write_page(folder / "report.html", page(ablation, folder))


def page(ablation: Ablation, folder: Path) -> str:
    """Return the report as HTML; the clips of a few prompts, in `folder`, become part of it."""
    return render(
        "ablation.html",
        title=f"Ablation: {' · '.join(cell.label for cell in ablation.cells)}",
        summary=summary(ablation),
        warnings=ablation.warnings,
        results=[
            {"heading": heading(one), "cells": value_rows(one), "comparisons": test_rows(one)}
            for one in ablation.results
        ],
        prompts=[prompt for prompt, _ in ablation.samples],
        clips={
            cell.label: [(folder / files[k]).read_bytes() for _, files in ablation.samples]
            for k, cell in enumerate(ablation.cells)
        },
    )


def tables(ablation: Ablation) -> list["Table"]:
    """Return the tables for a terminal: every cell with its verdicts, else every comparison."""
    found = []
    for result in ablation.results:
        found.append(_on_terminal(heading(result), value_rows(result)))
        if not result.differences[0].against:
            found.append(_on_terminal("", test_rows(result)))
    return found


def _on_terminal(title: str, rows: list[Row]) -> "Table":
    from rich.markup import escape
    from rich.table import Table

    table = Table(*map(escape, rows[0]), title=escape(title), title_justify="left")
    for row in rows[1:]:
        table.add_row(*map(escape, row))
    return table


def summary(ablation: Ablation) -> str:
    """Return how much was compared, and how to read it."""
    recipe = ablation.origin["recipe"]
    reference = f", {ablation.origin['n_reference']} reference clips" if recipe["reference"] else ""
    return (
        f"{len(ablation.cells)} cells of {ablation.n_clips} clips ({len(ablation.prompts)} "
        f"prompts){reference}. Intervals: 95 %, bootstrap over prompts ({recipe['resamples']} "
        f"draws; shares Wilson). Verdicts: permutation of prompts ({recipe['permutations']} "
        "draws), Holm's correction over the comparisons of a metric, 5 %."
    )


def heading(result: Result) -> str:
    """Return the metric, its embedder, its unit and which direction is good."""
    unit = f" ({result.unit})" if result.unit else ""
    return f"{result.title}{unit} {ARROWS[result.better]}".rstrip()


def value_rows(result: Result) -> list[Row]:
    """Return a head and a row per cell: value, interval, and the verdicts on it."""
    questions = list(dict.fromkeys(one.against for one in result.differences if one.against))
    rows = [["cell", "value", "95 %", *(f"against {question}" for question in questions)]]
    for value in result.cells:
        said = {one.against: one for one in result.differences if one.cell == value.cell}
        verdicts = [_verdict(said.get(question)) for question in questions]
        rows.append([value.cell, _value(value), _interval(value.interval), *verdicts])
    return rows


def test_rows(result: Result) -> list[Row]:
    """Return a head and a row per comparison."""
    runs = any(one.p_runs for one in result.differences)
    head = ["cell", "against", "difference", "95 %", "p", "p (Holm)", "verdict"]
    rows = [[*head, "p over training runs"] if runs else head]
    for one in result.differences:
        row = [
            one.cell, one.baseline, f"{one.difference:+.3g}", _interval(one.interval),
            number(one.p.value), number(one.p_holm), one.verdict,
        ]  # fmt: skip
        rows.append([*row, _over_runs(one)] if runs else row)
    return rows


def _over_runs(one: Difference) -> str:
    return f"{one.p_runs.value:.2g} (≥ {one.p_runs.least:.2g})" if one.p_runs else ""


def _verdict(one: Difference | None) -> str:
    return f"{one.verdict} (p {one.p_holm:.2g})" if one else ""


def _value(value: CellValue) -> str:
    if len(value.per_model) == 1:
        return number(value.value)
    return f"{number(value.value)} ({', '.join(map(number, value.per_model))})"


def _interval(interval: tuple[float, float] | None) -> str:
    return " … ".join(number(end) for end in interval) if interval else "too few prompts"
