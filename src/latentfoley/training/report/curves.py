"""Curves of a run as SVG: every loss with its held-out twin, and the course of the training."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from latentfoley.training.report.losses import noise_levels
from latentfoley.training.report.run import HELD_OUT, Run
from latentfoley.training.report.series import Series

_TRAINING, _HELD_OUT = "#2b6cb0", "#c05621"
_COURSE = {
    "learning_rate": "learning rate",
    "gradient_norm": "gradient norm, before clipping",
    "steps_per_second": "steps per second",
}


def draw_curves(run: Run) -> list[str]:
    """Return one SVG per loss, one of all noise levels together, one per number of the course."""
    levels = noise_levels(run)
    drawn = [_draw_loss(run, name) for name in _losses(run, levels)]
    if levels:
        drawn.append(_draw(f"{_family(levels)} by noise level", [run.series(n) for n in levels]))
    for name, title in _COURSE.items():
        series = _speed(run) if name == "steps_per_second" else run.series(name)
        if len(series):
            drawn.append(_draw(title, [series], logarithmic=name == "gradient_norm"))
    return drawn


def _losses(run: Run, levels: list[str]) -> list[str]:
    """Return the losses that have a picture of their own; held-out ones share their twin's."""
    names = run.loss_names
    twins = {HELD_OUT + name for name in names}
    by_level = {*levels, *(name.removeprefix(HELD_OUT) for name in levels)}
    return [name for name in names if name not in twins and name not in by_level]


def _family(levels: list[str]) -> str:
    return "held-out loss" if levels[0].startswith(HELD_OUT) else "loss"


def _draw_loss(run: Run, name: str) -> str:
    return _draw(name, [run.series(name)], held_out=run.series(HELD_OUT + name))


def _speed(run: Run) -> Series:
    """Return the speed that was logged or, in older runs, what the clock tells."""
    logged = run.series("steps_per_second")
    if len(logged):
        return logged
    clock = run.series("elapsed_s")
    seconds, steps = np.diff(clock.values), np.diff(clock.steps)
    on = seconds > 0  # the clock starts anew when a run is resumed
    return Series("steps_per_second", clock.steps[1:][on], steps[on] / seconds[on])


def _draw(
    title: str,
    several: Sequence[Series],
    *,
    held_out: Series | None = None,
    logarithmic: bool = False,
) -> str:
    """Return a chart: raw values pale, smoothed ones above them, held-out ones as a dotted line."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(5, 2.4), layout="constrained")
    for k, series in enumerate(several):
        colour = _TRAINING if len(several) == 1 else f"C{k}"
        _draw_series(axis, series, colour, series.name if len(several) > 1 else "training")
    if held_out is not None and len(held_out):
        axis.plot(held_out.steps, held_out.values, "o--", ms=3, lw=1, c=_HELD_OUT, label="held out")
    if len(several) > 1 or (held_out is not None and len(held_out)):
        axis.legend(frameon=False, fontsize=8)
    if logarithmic:
        axis.set_yscale("log")
    axis.set_title(title, fontsize=10, loc="left", parse_math=False)
    axis.tick_params(which="both", labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)
    svg = _to_svg(figure)
    pyplot.close(figure)
    return svg


def _draw_series(axis: Any, series: Series, colour: str, label: str) -> None:
    series = series.finite()
    raw = series.thinned()
    smooth = Series(series.name, series.steps, series.smoothed).thinned()
    axis.plot(raw.steps, raw.values, c=colour, lw=0.6, alpha=0.3)
    axis.plot(smooth.steps, smooth.values, c=colour, lw=1.6, label=label)


def _to_svg(figure: Any) -> str:
    """Return the element alone, its text as text, the same bytes for the same curves."""
    import matplotlib

    drawn = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "curve"}):
        figure.savefig(drawn, format="svg", transparent=True, metadata={"Date": None})
    text = drawn.getvalue()
    return text[text.index("<svg") :]
