"""How loud clips are, how many are silent or clipped: what good distances do not show."""

from collections.abc import Sequence

import numpy as np

from latentfoley.evaluation.metrics.score import Bootstrap, Score, mean_score, rate_score
from latentfoley.levels import Levels


def loudness_score(clips: Sequence[Levels], *, bootstrap: Bootstrap | None = None) -> Score:
    """Return the mean integrated loudness in LUFS; clips below the gate count as -70."""
    return mean_score(
        "loudness",
        np.array([clip.loudness_lufs for clip in clips]),
        better="neither",
        unit="LUFS",
        caveat="Clips below -70 LUFS, silence above all, count as -70.",
        bootstrap=bootstrap,
    )


def silence_rate(clips: Sequence[Levels]) -> Score:
    """Return the share of silent clips."""
    return rate_score(
        "silent clips",
        np.array([float(clip.silent) for clip in clips]),
        caveat="No sample above -80 dBFS. Silence can score well on FD and KL: read this first.",
    )


def silent_frames_score(clips: Sequence[Levels], *, bootstrap: Bootstrap | None = None) -> Score:
    """Return the mean share of a clip's frames that are silent."""
    return mean_score(
        "silent frames",
        np.array([clip.silent_frames for clip in clips]),
        better="neither",
        caveat="Frames of 10 ms with no sample above -80 dBFS. Compare it with the reference's.",
        bootstrap=bootstrap,
    )


def clipping_rate(clips: Sequence[Levels]) -> Score:
    """Return the share of clipped clips."""
    return rate_score(
        "clipped clips",
        np.array([float(clip.clipped) for clip in clips]),
        caveat="Three samples in a row at full scale. A soft clipper goes unseen.",
    )
