"""Does a sound say what the text says: CLAP's alignment, and whether the model follows CLAP.

The model is trained on the embeddings of sounds and asked with those of texts. A sound that is good
but wrong has lost its way at one of two places: the text lies nearer to other sounds than to its
own (the alignment of CLAP), or the sound does not follow the embedding that it is made from
(guidance, or a model that has learnt too little). Each is measured alone, by rank:

    r = how many of the wrong ones lie nearer than the right one / how many there are,

0 where the right one is the nearest and 1/2 by chance.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from latentfoley.training.report.judgement import Finding, UnmeasuredError, look_for
from latentfoley.training.report.material import (
    DenoiserRun,
    Ears,
    clips,
    read_sounds,
    trained_clap,
)
from latentfoley.training.report.run import Run

TEXT, FOLLOWING = "Texts do not find their sounds", "Sounds do not follow their condition"

# Half way from perfect to chance. The mean rank of 8 guesses scatters by 0.1 around 1/2, so that a
# model which follows nothing passes once in a hundred times.
POOR_RANK = 0.25
_MOST = 64  # recordings that are listened to
_MOST_CAPTIONS = 8  # of one group, whose mean stands for it
_LEAST_GROUPS, _LEAST_PREVIEWS = 4, 4
_EAR_RATE = 16_000  # previews and recordings are read at; a tower resamples to its own

Cosines = Float[np.ndarray, "N G"]


class Sound(NamedTuple):
    """A held-out sound: its embedding, what is said of it, and which sounds that is right of."""

    E: Tensor
    captions: tuple[str, ...]
    group: tuple[str, ...]


@dataclass(frozen=True)
class Ranks:
    """How well N things find their own among G.

    Attributes:
        rank: the mean of r.
        own: the mean cosine to what belongs to it.
        other: the mean cosine to what does not.
        first: the share whose nearest is the right one.
        n, n_among: N and G.
    """

    rank: float
    own: float
    other: float
    first: float
    n: int
    n_among: int

    @property
    def said(self) -> str:
        """The numbers in a row."""
        return (
            f"mean rank {self.rank:.2f} (0 best, 0.5 chance, limit {POOR_RANK}), right one nearest "
            f"for {100 * self.first:.0f} % (chance {100 / self.n_among:.0f} %), mean cosine "
            f"{self.own:.2f} to the right and {self.other:.2f} to the wrong ones; {self.n} among "
            f"{self.n_among}"
        )


def ranks(cosines: Cosines, own: np.ndarray) -> Ranks:
    """Return how near the `own[i]`-th of the columns is to row i, among all columns."""
    rows = np.arange(len(cosines))
    right = cosines[rows, own]
    nearer = (cosines > right[:, None]).sum(axis=1)
    n_wrong = cosines.shape[1] - 1
    return Ranks(
        rank=float(nearer.mean() / n_wrong),
        own=float(right.mean()),
        other=float((cosines.sum(axis=1) - right).mean() / n_wrong),
        first=float((nearer == 0).mean()),
        n=len(cosines),
        n_among=cosines.shape[1],
    )


def judge_texts(run: Run) -> Finding:
    """Look for texts that do not find their sounds, on held-out recordings with captions."""
    return look_for(TEXT, lambda: judge_text_ranks(measure_texts(run)))


def judge_text_ranks(found: Ranks) -> Finding:
    """Say what the ranks of captions mean."""
    if found.rank <= POOR_RANK:
        return Finding(TEXT, "clear", "CLAP brings captions and sounds together.", found.said)
    return Finding(
        TEXT,
        "found",
        "CLAP is not aligned: a text lies nearer to other sounds than to its own, and no guidance "
        "mends that. Train CLAP on more captions, or take one that knows these sounds.",
        found.said,
    )


def judge_following(run: Run) -> Finding:
    """Look for sounds that do not follow the embedding that they were made from."""
    return look_for(FOLLOWING, lambda: judge_following_ranks(measure_following(run)))


def judge_following_ranks(found: Ranks) -> Finding:
    """Say what the ranks of generated previews mean."""
    if found.rank <= POOR_RANK:
        said = "What is generated from a recording's embedding sounds like that recording to CLAP."
        return Finding(FOLLOWING, "clear", said, found.said)
    return Finding(
        FOLLOWING,
        "found",
        "The model does not follow the embedding that it is given. Guide more strongly when "
        "generating (--guidance), and train longer; if texts find their sounds, CLAP is not at "
        "fault.",
        found.said,
    )


def measure_texts(run: Run) -> Ranks:
    """Ask with each held-out sound for its captions.

    Sounds of one label, or with the same captions, are one group: their captions are all right.

    Raises:
        UnmeasuredError, UserError: no CLAP, no data, or too few captions.
    """
    ears, heard = _of_clap(run) if run.kind == "clap" else _of_denoiser(run)
    captioned = [sound for sound in heard if sound.captions]
    groups = sorted({sound.group for sound in captioned})
    if len(groups) < _LEAST_GROUPS:
        raise UnmeasuredError(
            f"the held-out recordings have captions of {len(groups)} kinds, and {_LEAST_GROUPS} "
            "are needed; the denoiser needs none to be trained"
        )
    said = [ears.text.embed(_captions(captioned, group)).mean(dim=0) for group in groups]
    T = F.normalize(torch.stack(said), dim=1)
    A = torch.stack([sound.E for sound in captioned])
    own = np.array([groups.index(sound.group) for sound in captioned])
    return ranks((A @ T.T).numpy(), own)


def measure_following(run: Run) -> Ranks:
    """Ask with each generated preview for the recording whose embedding it was made from.

    Raises:
        UnmeasuredError, UserError: no CLAP, or the run wrote too few sounds.
    """
    generated, encoded = last_pairs(run)
    ears = DenoiserRun(run).ears()
    made = ears.hear(read_sounds(generated, _EAR_RATE), _EAR_RATE)
    real = ears.hear(read_sounds(encoded, _EAR_RATE), _EAR_RATE)
    return ranks((made @ real.T).numpy(), np.arange(len(made)))


def last_pairs(run: Run) -> tuple[list[Path], list[Path]]:
    """Return the last generated previews and the recordings that each was made from.

    Raises:
        UnmeasuredError: the run wrote fewer than four pairs of sounds.
    """
    for preview in reversed(run.previews):
        generated, encoded = preview.row("generated"), preview.row("encoded")
        if len(generated) == len(encoded) >= _LEAST_PREVIEWS:
            return generated, encoded
    raise UnmeasuredError("the run wrote no generated previews as sound")


def _of_clap(run: Run) -> tuple[Ears, list[Sound]]:
    ears = trained_clap(run)
    held_out = clips(run, "valid", _MOST, _EAR_RATE)
    E = ears.hear([clip.waveform for clip in held_out], _EAR_RATE)
    sounds = [
        Sound(one, clip.captions, clip.labels or tuple(sorted(clip.captions)))
        for one, clip in zip(E, held_out, strict=True)
    ]
    return ears, sounds


def _of_denoiser(run: Run) -> tuple[Ears, list[Sound]]:
    denoiser = DenoiserRun(run)
    held_out = denoiser.windows("valid", _MOST)
    pairs = zip(held_out.E, held_out.captions, strict=True)
    return denoiser.ears(), [Sound(E, said, tuple(sorted(said))) for E, said in pairs]


def _captions(sounds: list[Sound], group: tuple[str, ...]) -> list[str]:
    said = sorted({text for sound in sounds if sound.group == group for text in sound.captions})
    return said[:_MOST_CAPTIONS]
