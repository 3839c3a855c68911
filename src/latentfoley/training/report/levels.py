"""Are the previews silent or clipped: what a good loss does not show."""

from pathlib import Path

from latentfoley.audio import read_audio
from latentfoley.evaluation.metrics.loudness import Levels, measure
from latentfoley.training.report.judgement import Finding, UnmeasuredError, look_for
from latentfoley.training.report.run import Preview, Run

SIGNATURE = "Silent or clipped previews"

# A preview that is clipped by chance is one loud recording among eight; two are a habit.
MOST_SPOILT = 0.25
# What each row of previews is to be held against: a recording that is silent or clipped itself.
ROWS = {"generated": "encoded", "reconstructed": "real"}


def judge_levels(run: Run) -> Finding:
    """Look for previews that are silent or clipped although their recordings are not."""

    def judge() -> Finding:
        preview = _last_sounding(run)
        made = {path.stem: _levels(path) for path in made_sounds(preview)}
        real = {path.stem: _levels(path) for row in ROWS.values() for path in preview.row(row)}
        return judge_measured(made, {stem: real.get(_partner(stem)) for stem in made})

    return look_for(SIGNATURE, judge)


def judge_measured(made: dict[str, Levels], real: dict[str, Levels | None]) -> Finding:
    """Say what levels mean; `real` holds the recording of each where it is known."""
    pairs = list(zip(made.values(), real.values(), strict=True))
    silent = sum(one.silent and not (other and other.silent) for one, other in pairs)
    clipped = sum(one.clipped and not (other and other.clipped) for one, other in pairs)
    loudness = sum(one.loudness_lufs for one in made.values()) / len(made)
    figure = (
        f"of {len(made)} previews {silent} silent and {clipped} clipped where the recording is "
        f"not (limit {100 * MOST_SPOILT:.0f} %); mean loudness {loudness:.1f} LUFS"
    )
    if silent > MOST_SPOILT * len(made):
        said = "Previews are silent: the model gives back nothing. See the losses above."
        return Finding(SIGNATURE, "found", said, figure)
    if clipped > MOST_SPOILT * len(made):
        said = (
            "Previews are clipped: the model is louder than what it learnt from. Guide less "
            "strongly, and compare vae/config.json's scaling_factor with that of its training."
        )
        return Finding(SIGNATURE, "found", said, figure)
    return Finding(SIGNATURE, "clear", "Previews are as loud as sounds should be.", figure)


def made_sounds(preview: Preview) -> list[Path]:
    """Return the sounds that the model made, without the recordings beside them."""
    rows = [path for row in ROWS for path in preview.row(row)]
    recordings = {path for row in ROWS.values() for path in preview.row(row)}
    return rows or [path for path in preview.sounds.values() if path not in recordings]


def _last_sounding(run: Run) -> Preview:
    for preview in reversed(run.previews):
        if made_sounds(preview):
            return preview
    raise UnmeasuredError("the run wrote no previews as sound")


def _levels(path: Path) -> Levels:
    recording = read_audio(path, sample_rate=None)
    return measure(recording.waveform, recording.sample_rate)


def _partner(stem: str) -> str:
    """Return the name of the recording that a preview is to be held against."""
    for made, real in ROWS.items():
        if f"-{made}-" in stem:
            return stem.replace(f"-{made}-", f"-{real}-")
    return ""
