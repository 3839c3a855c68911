"""Failures that the generated sounds show: silence and clipping, copies, and lost meaning.

The model is trained on the embeddings of sounds and asked with those of texts. A sound that is good
but wrong has one of two causes: the text lies nearer to other sounds than to its own (CLAP is not
aligned), or the sound does not follow the embedding that it is generated from (the denoiser, or
guidance). Each is measured by rank, see `measures.py`.
"""

import numpy as np

from latentfoley.levels import Levels
from latentfoley.training.report.findings import Finding, decide, look_for
from latentfoley.training.report.measures import (
    Nearness,
    Ranks,
    measure_alignment,
    measure_following,
    measure_levels,
    measure_nearness,
)
from latentfoley.training.report.run import Run

SPOILT, COPIES = "Silent or clipped previews", "Memorised recordings"
FOLLOWING, TEXT = "Sounds do not follow their condition", "Texts do not find their sounds"

# Of the previews. One that is clipped by chance is a loud recording among eight; two are a habit.
MOST_SPOILT = 0.25
# Half way from perfect to chance. The mean rank of 8 guesses scatters by 0.1 around 1/2, so that a
# model which follows nothing passes once in a hundred times.
POOR_RANK = 0.25
# Held-out windows that lie as near to training windows as a preview that counts as a copy: one in
# twenty, which takes in recordings that are nearly in the data twice.
NEARER_THAN = 0.05
# Previews that may count as copies by that chance: more than a quarter of eight happens to an
# innocent model once in two hundred runs.
MOST_COPIES = 0.25
# Of the embedding distance of held-out windows: CLAP places a copy nearer than half of it.
NEAR_IN_MEANING = 0.5


def diagnose_sounds(run: Run) -> list[Finding]:
    """Return a finding for each failure that the sounds of a run of this kind can show."""
    findings = []
    if run.kind != "clap":
        findings.append(look_for(SPOILT, lambda: spoilt(measure_levels(run))))
    if run.kind == "diffusion":
        findings.append(look_for(COPIES, lambda: copies(measure_nearness(run))))
        findings.append(look_for(FOLLOWING, lambda: following(measure_following(run))))
    if run.kind in ("diffusion", "clap"):
        findings.append(look_for(TEXT, lambda: alignment(measure_alignment(run))))
    return findings


def spoilt(levels: list[tuple[Levels, Levels | None]]) -> Finding:
    """Diagnose (generated, recording) pairs: silent or clipped where the recording is not."""
    n, most = len(levels), MOST_SPOILT * len(levels)
    silent = sum(made.silent and not (real and real.silent) for made, real in levels)
    clipped = sum(made.clipped and not (real and real.clipped) for made, real in levels)
    loudness = sum(made.loudness_lufs for made, _ in levels) / n
    advice = (
        "Previews are silent: the model generates nothing. See the losses."
        if silent > most
        else "Previews are clipped: the model is louder than its recordings. Guide less "
        "strongly, and compare vae/config.json's scaling_factor with that of its training."
    )
    return decide(
        SPOILT,
        max(silent, clipped) > most,
        advice=advice,
        clear="Previews are as loud as sounds should be.",
        figure=f"of {n} previews {silent} silent and {clipped} clipped where the recording is not "
        f"(limit {100 * MOST_SPOILT:.0f} %); mean loudness {loudness:.1f} LUFS",
    )


def copies(near: Nearness) -> Finding:
    """Diagnose previews that are training recordings again.

    A preview is generated from the embedding of a recording, so CLAP should place it near that
    recording. It is a copy where the sound itself is near as well.
    """
    limit = float(np.quantile(near.held_out_mel, NEARER_THAN))
    share = float((near.generated_mel < limit).mean())
    generated, held_out = np.median(near.generated), np.median(near.held_out)
    return decide(
        COPIES,
        share > MOST_COPIES and generated < NEAR_IN_MEANING * held_out,
        advice="Generated sounds are training recordings again. Train on more recordings or for "
        "fewer steps, and check the licences before anything is published.",
        clear="Generated sounds are no nearer to the training recordings than their meaning asks.",
        figure=f"1 - cosine to the nearest training window: generated {generated:.3f}, held out "
        f"{held_out:.3f} (limit {NEAR_IN_MEANING} of it); log-mel distance: generated "
        f"{np.median(near.generated_mel):.2f} nats to the recording of each, held out "
        f"{np.median(near.held_out_mel):.2f} to the nearest; below the lowest "
        f"{100 * NEARER_THAN:g} % of held-out windows ({limit:.2f}): {100 * share:.0f} % of the "
        f"generated (limit {100 * MOST_COPIES:.0f} %)",
    )


def following(found: Ranks) -> Finding:
    """Diagnose previews that CLAP places nearer to other recordings than to their own."""
    return decide(
        FOLLOWING,
        found.rank > POOR_RANK,
        advice="The model does not follow the embedding that it is given. Guide more strongly "
        "when generating (--guidance), and train longer; if texts find their sounds, CLAP is not "
        "at fault.",
        clear="What is generated from a recording's embedding sounds like that recording to CLAP.",
        figure=_figure(found),
    )


def alignment(found: Ranks) -> Finding:
    """Diagnose held-out sounds that CLAP places nearer to other captions than to their own."""
    return decide(
        TEXT,
        found.rank > POOR_RANK,
        advice="CLAP is not aligned: a text lies nearer to other sounds than to its own, and no "
        "guidance mends that. Train CLAP on more captions, or take one that knows these sounds.",
        clear="CLAP brings captions and sounds together.",
        figure=_figure(found),
    )


def _figure(found: Ranks) -> str:
    return (
        f"mean rank {found.rank:.2f} (0 best, 0.5 chance, limit {POOR_RANK}), mean cosine "
        f"{found.own:.2f} to the right and {found.other:.2f} to the wrong ones; {found.n} among "
        f"{found.n_among}"
    )
