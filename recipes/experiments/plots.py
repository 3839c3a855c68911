"""`results.json` of an ablation → one picture: every metric over its cells, with intervals."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib import pyplot

_COLUMNS = 3
_LOG_RATIO = 20  # an axis that spans more is drawn by ratios

Record = dict[str, Any]


def plot(record: Record, path: Path) -> None:
    """Write a PNG: one panel per metric and embedder."""
    results, cells = record["results"], record["cells"]
    columns = min(_COLUMNS, len(results))
    rows = -(-len(results) // columns)
    figure, axes = pyplot.subplots(
        rows, columns, figsize=(4.2 * columns, 3.1 * rows), squeeze=False, layout="constrained"
    )
    for panel, result in zip(axes.flat, results, strict=False):
        _draw(panel, result, cells)
    for panel in axes.flat[len(results) :]:
        panel.set_axis_off()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _draw(panel: Any, result: Record, cells: Sequence[Record]) -> None:
    across = _numeric_axis(cells)
    panel.set_title(", ".join(filter(None, (result["metric"], result["embedder"]))), fontsize=9)
    panel.set_ylabel(result["unit"] or result["metric"], fontsize=8)
    panel.tick_params(labelsize=8)
    panel.grid(alpha=0.3)
    if across is None:
        _dots(panel, result["cells"])
        return
    lines: dict[str, list[tuple[float, Record]]] = {}
    for cell, value in zip(cells, result["cells"], strict=True):
        rest = " ".join(f"{name}={v}" for name, v in cell["axes"].items() if name != across)
        lines.setdefault(rest, []).append((cell["axes"][across], value))
    for label, points in lines.items():
        points.sort(key=lambda point: point[0])
        _line(panel, label, [x for x, _ in points], [value for _, value in points])
    values = sorted({cell["axes"][across] for cell in cells})
    if values[0] > 0 and values[-1] / values[0] >= _LOG_RATIO:
        panel.set_xscale("log")
    panel.set_xticks(values, [f"{value:g}" for value in values])
    panel.minorticks_off()
    panel.set_xlabel(across, fontsize=8)
    if len(lines) > 1:
        panel.legend(fontsize=7)


def _numeric_axis(cells: Sequence[Record]) -> str | None:
    """Return the axis of numbers with the most values; None where there is none."""
    counts = {
        name: len({cell["axes"][name] for cell in cells})
        for name in cells[0]["axes"]
        if all(isinstance(cell["axes"][name], int | float) for cell in cells)
    }
    return max(counts, key=lambda name: counts[name]) if counts else None


def _line(panel: Any, label: str, places: Sequence[float], values: Sequence[Record]) -> None:
    heights = [value["value"] for value in values]
    (line,) = panel.plot(places, heights, "o-", markersize=4, label=label)
    if all(value["interval"] for value in values):
        low, high = zip(*(value["interval"] for value in values), strict=True)
        panel.fill_between(places, low, high, color=line.get_color(), alpha=0.15, linewidth=0)


def _dots(panel: Any, values: Sequence[Record]) -> None:
    for k, value in enumerate(values):
        panel.plot(k, value["value"], "o", color="C0")
        for one in value["per_model"] if len(value["per_model"]) > 1 else ():
            panel.plot(k + 0.15, one, ".", color="C1")
        if value["interval"]:
            panel.plot([k, k], value["interval"], "-", color="C0", alpha=0.5)
    labels = [value["cell"] for value in values]
    panel.set_xticks(range(len(values)), labels, rotation=20, ha="right")
