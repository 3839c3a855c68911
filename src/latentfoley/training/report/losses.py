"""Failures that the log alone shows: diverging, stuck, overfitting, not converged yet.

They are looked for in this order. One that is found makes those after it meaningless: the loss of a
run that diverges has no floor. Every threshold stands here with its reason.
"""

import numpy as np

from latentfoley.training.report.findings import (
    Finding,
    UnmeasuredError,
    decide,
    look_for,
    not_measured,
)
from latentfoley.training.report.run import MAIN_LOSS, VALIDATION, Run, Series

DIVERGING, STUCK = "The loss diverges", "The loss is stuck"
OVERFITTING, UNFINISHED = "Overfitting", "Not converged yet"

# The log is judged by medians of tenths, and a median of fewer than two points is noise.
LEAST_POINTS = 20
# The last tenth against the best: noise and a discriminator that joins late move it by a third.
DIVERGED = 1.5
# The last tenth against the first: a network that learns anything halves the loss that it begins
# with or, where noise is predicted, takes a quarter off it.
LEAST_FALL = 0.05
# The last fifth: what a further quarter of the steps would bring would be of this order.
STILL_FALLING = 0.03
ERRORS = 2.0  # standard errors that make a trend; one in twenty chance trends passes
# Validation loss above its lowest: the scatter between validations of tens of clips is below it.
OVERFIT = 0.05
LEAST_VALIDATIONS = 5


def diagnose_log(run: Run) -> list[Finding]:
    """Return a finding for each failure that a log can show."""
    main = run.series(MAIN_LOSS[run.kind])
    findings: list[Finding] = []
    for name, diagnose in (
        (DIVERGING, lambda: diverging(run, main)),
        (STUCK, lambda: stuck(run, main)),
        (OVERFITTING, lambda: overfitting(run, main)),
        (UNFINISHED, lambda: unfinished(main)),
    ):
        found = [finding.name for finding in findings if finding.status == "found"]
        if found:
            reason = f"it says nothing of a run in trouble ({found[0].lower()})"
            findings.append(not_measured(name, reason))
        else:
            findings.append(look_for(name, diagnose))
    return findings


def diverging(run: Run, main: Series) -> Finding:
    """Look for a loss that is not finite, or far above the lowest that it has had."""
    for _, steps, values in (series := run.series(name) for name in run.losses):
        broken = np.flatnonzero(~np.isfinite(values))
        if len(broken):
            return Finding(
                DIVERGING,
                "found",
                "A loss is no longer finite. Lower the learning rate, lengthen the warm-up, or "
                "train in fp32; go on from a checkpoint before that step.",
                f"{series.name} is {values[broken[0]]} at step {steps[broken[0]]}",
            )
    tenths = _tenths(main)
    ratio = tenths[-1] / tenths.min()
    return decide(
        DIVERGING,
        ratio > DIVERGED,
        advice="The loss rises again after it had fallen. Lower the learning rate or "
        "gradient_clip, and go on from the best checkpoint.",
        clear="The loss ends near the lowest that it has had.",
        figure=f"{main.name}: {tenths[-1]:.4g} over the last tenth of the run, "
        f"{tenths.min():.4g} over the best tenth (ratio {ratio:.2f}, limit {DIVERGED})",
    )


def stuck(run: Run, main: Series) -> Finding:
    """Look for a loss that never left the place where it began."""
    if run.recipe.get("start") is not None:
        raise UnmeasuredError("the run started from trained weights, whose loss may be low already")
    tenths = _tenths(main)
    fall = 1 - tenths[-1] / tenths[0]
    return decide(
        STUCK,
        fall < LEAST_FALL,
        advice="The model has learnt next to nothing. Raise the learning rate, train longer, and "
        "listen to the recordings: silence and broken files teach nothing.",
        clear="The loss has left the place where it began.",
        figure=f"{main.name}: {tenths[0]:.4g} over the first tenth, {tenths[-1]:.4g} over the last "
        f"({-100 * fall:+.2g} %, limit {-100 * LEAST_FALL:g} %)",
    )


def overfitting(run: Run, main: Series) -> Finding:
    """Look for a validation loss that rises while the training loss falls."""
    name, steps, values = validation = run.series(VALIDATION + main.name)
    if len(steps) < LEAST_VALIDATIONS:
        raise UnmeasuredError(
            f"the run was validated {len(steps)} times, and a turn of the validation loss shows "
            f"from {LEAST_VALIDATIONS} on"
        )
    smoothed = validation.smoothed
    lowest = int(np.argmin(smoothed))
    end = float(values[-max(1, round(0.2 * len(values))) :].mean())
    rise, turn = end / float(smoothed[lowest]) - 1, int(steps[lowest])
    then, now = _mean_near(main, turn), float(main.values[-max(1, len(main.values) // 10) :].mean())
    return decide(
        OVERFITTING,
        rise > OVERFIT and now < then,
        advice="The model gets better on the recordings that it is trained on and worse on "
        f"others. Take the checkpoint of about step {turn}, or train on more recordings, on more "
        "variations and mixes of them, or train a smaller model or a LoRA.",
        clear="The validation loss is near the lowest that it has had.",
        figure=f"{name}: {smoothed[lowest]:.4g} at its lowest (step {turn}), {end:.4g} at the end "
        f"({100 * rise:+.1f} %, limit {100 * OVERFIT:g} %); {main.name} meanwhile {then:.4g} → "
        f"{now:.4g}",
    )


def unfinished(main: Series) -> Finding:
    """Look for a loss that still falls at the end."""
    _tenths(main)
    change, error = _trend(main)
    return decide(
        UNFINISHED,
        change < -STILL_FALLING and change < -ERRORS * error,
        advice="The loss still falls: more steps would make the model better. Raise run.steps and "
        "run the same command.",
        clear="The loss no longer falls in a way that stands out from noise.",
        figure=f"{main.name} changes by {100 * change:+.2g} ± {100 * error:.2g} % over the last "
        f"fifth of the run (limit {-100 * STILL_FALLING:g} % and {ERRORS:g} standard errors)",
    )


def _tenths(series: Series) -> np.ndarray:
    """Return the medians of ten parts of equally many points."""
    if len(series.values) < LEAST_POINTS:
        raise UnmeasuredError(
            f"{series.name} was logged {len(series.values)} times, and a course shows from "
            f"{LEAST_POINTS} on"
        )
    return np.array([np.median(part) for part in np.array_split(series.values, 10)])


def _trend(series: Series) -> tuple[float, float]:
    """Return by what share of its mean the last fifth of a series changes, and the error of that.

    The change is that of the least-squares line, the error its standard error.
    """
    first = len(series.values) - round(0.2 * len(series.values))
    steps, values = series.steps[first:], series.values[first:]
    t = steps - steps.mean()
    slope = float(t @ values / (t @ t))
    residuals = values - values.mean() - slope * t
    error = float(np.sqrt(residuals @ residuals / (len(t) - 2) / (t @ t)))
    span = float(steps[-1] - steps[0]) / (abs(float(values.mean())) or 1.0)
    return slope * span, error * span


def _mean_near(series: Series, step: int) -> float:
    """Return the mean of a tenth of the points, around a step."""
    half = max(1, len(series.steps) // 20)
    k = int(np.argmin(np.abs(series.steps - step)))
    return float(series.values[max(0, k - half) : k + half + 1].mean())
