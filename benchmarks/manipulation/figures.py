"""What is measured of one sound of a case; "success" is what its operation promises."""

from judges import Judges
from measures import (
    Samples,
    changed_outside_spans,
    distances,
    envelope_likeness,
    leak_db,
    mel_difference,
    seam,
)
from methods import Outcome
from suite import Case

MOST_LEAK_DB = -40.0  # of the change outside the bands, against the sound there
UPSAMPLED_FROM = 0.8  # of the highest frequency there was: below it nothing may change
Row = dict[str, float]


def figures(judges: Judges, case: Case, outcome: Outcome, made: Samples) -> Row:
    """Return the figures of one sound, by name."""
    if case.operation == "morph":
        return _between(judges, outcome, made)
    if case.operation == "loop":
        steps = seam(made)
        n_changed = changed_outside_spans(made, outcome.kept, outcome.spans)
        seamless = float(max(steps.values()) <= 1)
        return {"success": seamless, "rest unchanged": float(n_changed == 0), **steps}
    if case.operation in ("transfer", "vary"):
        return {
            "success": float(judges.is_target(made, case.target or case.label)),
            "envelope": envelope_likeness(made, outcome.source),
            "log-mel change": mel_difference(made, outcome.source),
        }
    assert outcome.truth is not None
    row = distances(made, outcome.truth, outcome.spans, outcome.bands)
    if outcome.bands:
        ((low, high),) = outcome.bands
        if case.operation == "upsample":
            low *= UPSAMPLED_FROM
        leak = leak_db(made, outcome.kept, ((low, high),))
        return {"success": float(leak <= MOST_LEAK_DB), "leak_dB": leak, **row}
    n_changed = changed_outside_spans(made, outcome.kept, outcome.spans)
    return {"success": float(n_changed == 0), **row}


def _between(judges: Judges, outcome: Outcome, made: Samples) -> Row:
    """Return how near a sound is to two recordings; success is nearer than they are."""
    first, second, own = map(judges.heard, (outcome.source, outcome.others[0], made))
    row = {
        "cosine to the first": float(own @ first),
        "cosine to the second": float(own @ second),
        "cosine between them": float(first @ second),
    }
    return {"success": float(min(own @ first, own @ second) > first @ second), **row}
