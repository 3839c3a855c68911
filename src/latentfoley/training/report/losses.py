"""Failures that the log alone shows: diverging, stuck, overfitting, not done yet.

They are looked for in this order, and one that is found makes those after it meaningless: the loss
of a run that diverges has no floor. Every threshold stands here with its reason.
"""

from functools import partial

import numpy as np

from latentfoley.training.report.judgement import (
    Finding,
    UnmeasuredError,
    look_for,
    not_measured,
    share,
)
from latentfoley.training.report.run import HELD_OUT, MAIN_LOSS, Run
from latentfoley.training.report.series import Series

DIVERGING, STUCK, OVERFITTING, UNFINISHED = (
    "The loss diverges",
    "The loss is stuck",
    "Overfitting",
    "Not converged yet",
)
STUCK_LEVEL = "One noise level is stuck"

# The log is judged by medians of tenths, and a median of fewer than two points is noise.
LEAST_POINTS = 20
PARTS = 10
# The last tenth against the best: noise and a discriminator that joins late move it by a third.
DIVERGED = 1.5
# The last tenth against the first: a network that learns anything halves the loss that it begins
# with or, where noise is predicted, takes a quarter off it.
LEAST_FALL = 0.05
# The same, for one noise level among others.
LEAST_FALL_OF_LEVEL = 0.03
# Over the last fifth: what a further quarter of the steps would bring would be of this order.
STILL_FALLING = 0.03
ERRORS = 2.0  # standard errors that make a trend; one in twenty chance trends passes
# Held-out loss above its lowest: the scatter between validations of tens of clips is below it.
OVERFIT = 0.05
LEAST_VALIDATIONS = 5


def judge_losses(run: Run) -> list[Finding]:
    """Return a finding for each failure that a log can show."""
    main = run.series(MAIN_LOSS[run.kind])
    found: Finding | None = None
    findings = []
    for signature, judge in (
        (DIVERGING, diverging),
        (STUCK, stuck),
        (OVERFITTING, overfitting),
        (UNFINISHED, unfinished),
        (STUCK_LEVEL, stuck_level),
    ):
        if signature == STUCK_LEVEL and not noise_levels(run):
            continue
        if found is not None:
            reason = f"it says nothing of a run in trouble ({found.signature.lower()})"
            findings.append(not_measured(signature, reason))
            continue
        finding = look_for(signature, partial(judge, run, main))
        found = finding if finding.status == "found" else None
        findings.append(finding)
    return findings


def diverging(run: Run, main: Series) -> Finding:
    """Look for a loss that is no number, or far above the lowest that it has had."""
    for name in run.loss_names:
        series = run.series(name)
        broken = np.flatnonzero(~np.isfinite(series.values))
        if len(broken):
            k = broken[0]
            return Finding(
                DIVERGING,
                "found",
                "A loss is no longer a number. Lower the learning rate, lengthen the warm-up, or "
                "train in fp32; go on from a checkpoint before that step.",
                f"{name} is {series.values[k]} at step {series.steps[k]}",
            )
    parts = _parts(main)
    end, best = parts[-1], parts.min()
    figure = (
        f"{main.name}: {end:.4g} over the last tenth of the run, {best:.4g} over the best tenth "
        f"(ratio {end / best:.2f}, limit {DIVERGED})"
    )
    if end > DIVERGED * best:
        return Finding(
            DIVERGING,
            "found",
            "The loss rises again after it had fallen. Lower the learning rate or gradient_clip, "
            "and go on from the best checkpoint.",
            figure,
        )
    return Finding(DIVERGING, "clear", "The loss ends near the lowest that it has had.", figure)


def stuck(run: Run, main: Series) -> Finding:
    """Look for a loss that never left the place where it began."""
    if run.recipe.get("start") is not None:
        raise UnmeasuredError(
            "the run went on from trained weights, whose loss may be at its floor"
        )
    fall, figure = _fall(main)
    if fall < LEAST_FALL:
        return Finding(
            STUCK,
            "found",
            "The model has learnt next to nothing. Raise the learning rate, train longer, and "
            "listen to the recordings: silence and broken files teach nothing.",
            f"{figure}, at least {share(LEAST_FALL)} expected",
        )
    return Finding(STUCK, "clear", "The loss has left the place where it began.", figure)


def overfitting(run: Run, main: Series) -> Finding:
    """Look for a held-out loss that rises while the training loss falls."""
    held_out = run.series(HELD_OUT + main.name)
    if len(held_out) == 0:
        raise UnmeasuredError("the run logged no loss on held-out recordings")
    if len(held_out) < LEAST_VALIDATIONS:
        raise UnmeasuredError(
            f"the run was validated {len(held_out)} times, and a turn of the held-out loss shows "
            f"from {LEAST_VALIDATIONS} on"
        )
    lowest = int(np.argmin(held_out.smoothed))
    end = float(held_out.last(0.2).values.mean())
    rise = end / float(held_out.smoothed[lowest]) - 1
    turn = int(held_out.steps[lowest])
    trained = _mean_near(main, turn), float(main.last(0.1).values.mean())
    figure = (
        f"{held_out.name}: {held_out.smoothed[lowest]:.4g} at its lowest (step {turn}), {end:.4g} "
        f"at the end ({100 * rise:+.2g} %, limit {share(OVERFIT)}); {main.name} meanwhile "
        f"{trained[0]:.4g} → {trained[1]:.4g}"
    )
    if rise > OVERFIT and trained[1] < trained[0]:
        return Finding(
            OVERFITTING,
            "found",
            "The model gets better on what it has seen and worse on what it has not. Take the "
            f"checkpoint of about step {turn}, or train on more recordings, on more variations and "
            "mixes of them, or train a smaller model or a LoRA.",
            figure,
        )
    return Finding(OVERFITTING, "clear", "Held-out recordings fare no worse than before.", figure)


def unfinished(run: Run, main: Series) -> Finding:
    """Look for a loss that still falls at the end."""
    _parts(main)
    change, error = main.last(0.2).trend()
    figure = (
        f"{main.name} changes by {100 * change:+.2g} ± {100 * error:.2g} % over the last fifth of "
        f"the run (limit {share(-STILL_FALLING)} and {ERRORS:g} standard errors)"
    )
    if change < -STILL_FALLING and change < -ERRORS * error:
        return Finding(
            UNFINISHED,
            "found",
            "The loss still falls: more steps would make the model better. Raise run.steps and "
            "run the same command.",
            figure,
        )
    return Finding(
        UNFINISHED, "clear", "The loss no longer falls in a way that stands out from noise.", figure
    )


def stuck_level(run: Run, main: Series) -> Finding:
    """Look for noise levels at which nothing is learnt although the others are."""
    levels = [run.series(name) for name in noise_levels(run)]
    ends = {series.name: float(_parts(series)[-1]) for series in levels}
    falls = {series.name: _fall(series)[0] for series in levels}
    figure = ", ".join(
        f"{_level(name)} {ends[name]:.3g} ({100 * -fall:+.2g} % since the first tenth)"
        for name, fall in falls.items()
    )
    if run.recipe.get("start") is not None:
        raise UnmeasuredError(
            "the run went on from trained weights, whose loss may be at its floor"
        )
    # A loss that is low was never high: a network may begin with what it needs at a level.
    mean = sum(ends.values()) / len(ends)
    high = [name for name in falls if falls[name] < LEAST_FALL_OF_LEVEL and ends[name] >= mean]
    if high:
        names = " and ".join(_level(name) for name in high)
        return Finding(
            STUCK_LEVEL,
            "found",
            f"At {names} the loss hardly falls. High noise decides what a sound is, low noise how "
            "clean it is. Try v-prediction (schedule.prediction) or min_snr_gamma.",
            f"{figure}; limit {share(LEAST_FALL_OF_LEVEL)}",
        )
    return Finding(STUCK_LEVEL, "clear", "The loss falls at all noise levels.", figure)


def noise_levels(run: Run) -> list[str]:
    """Return the names of the losses by noise level, held out where there are such."""
    for prefix in (f"{HELD_OUT}loss_", "loss_"):
        names = [name for name in run.loss_names if name.startswith(prefix)]
        if names:
            return names
    return []


def _require_from_scratch(run: Run) -> None:
    if run.recipe.get("start") is not None:
        raise UnmeasuredError("the run went on from trained weights, whose loss may be low already")


def _level(name: str) -> str:
    return name.partition("loss_")[2].replace("_", " ")


def _parts(series: Series) -> np.ndarray:
    if len(series) < LEAST_POINTS:
        raise UnmeasuredError(
            f"{series.name} was logged {len(series)} times, and a course shows from "
            f"{LEAST_POINTS} on"
        )
    return series.parts(PARTS)


def _fall(series: Series) -> tuple[float, str]:
    """Return by what share the last tenth is below the first, and that in words."""
    parts = _parts(series)
    fall = 1 - float(parts[-1] / parts[0])
    said = f"{series.name}: {parts[0]:.4g} over the first tenth, {parts[-1]:.4g} over the last"
    return fall, f"{said} ({100 * -fall:+.2g} %)"


def _mean_near(series: Series, step: int) -> float:
    """Return the mean of a tenth of the points, around a step."""
    half = max(1, len(series) // 20)
    k = int(np.argmin(np.abs(series.steps - step)))
    return float(series.values[max(0, k - half) : k + half + 1].mean())
