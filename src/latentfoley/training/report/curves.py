"""Curves of a run as SVG: losses with their validation, learning rate, gradient norm, speed."""

import io
from typing import Any

from latentfoley.training.report.run import VALIDATION, Run, Series

_TRAINING, _VALIDATION = "#2b6cb0", "#c05621"
_COURSE = {
    "learning_rate": "learning rate",
    "gradient_norm": "gradient norm, before clipping",
    "steps_per_second": "steps per second",
}
_MOST_DRAWN = 1500  # points of a curve; a screen shows no more


def draw_curves(run: Run) -> dict[str, bytes]:
    """Return SVGs by title: one per loss, one of all timesteps, one per number of the course."""
    by_timestep = [name for name in run.losses if "loss_" in name]
    validated = [name for name in by_timestep if name.startswith(VALIDATION)]
    drawn = {
        name: _draw([run.series(name), run.series(VALIDATION + name)], ["training", "validation"])
        for name in run.losses
        if name not in by_timestep and not name.startswith(VALIDATION)
    }
    if by_timestep:
        shown = validated or by_timestep
        drawn["loss by timestep"] = _draw([run.series(name) for name in shown], shown)
    for name, title in _COURSE.items():
        series = run.series(name)
        if len(series.steps):
            drawn[title] = _draw([series], [name], logarithmic=name == "gradient_norm")
    return drawn


def _draw(series: list[Series], labels: list[str], *, logarithmic: bool = False) -> bytes:
    """Return a chart; the same bytes for the same values."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 2.4), layout="constrained")
    axis = figure.subplots()
    shown = [(one, label) for one, label in zip(series, labels, strict=True) if len(one.steps)]
    for k, (one, label) in enumerate(shown):
        _draw_series(axis, one, label, f"C{k}" if len(shown) > 2 else (_TRAINING, _VALIDATION)[k])
    if len(shown) > 1:
        axis.legend(frameon=False, fontsize=8)
    if logarithmic:
        axis.set_yscale("log")
    axis.tick_params(which="both", labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)
    drawn = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "curve"}):
        FigureCanvasSVG(figure).print_svg(drawn, metadata={"Date": None})
    return drawn.getvalue()


def _draw_series(axis: Any, series: Series, label: str, colour: str) -> None:
    """Draw the logged values pale, and their moving mean above them."""
    every = -(-len(series.steps) // _MOST_DRAWN)
    steps = series.steps[::every]
    axis.plot(steps, series.values[::every], c=colour, lw=0.6, alpha=0.3)
    axis.plot(steps, series.smoothed[::every], c=colour, lw=1.6, label=label)
