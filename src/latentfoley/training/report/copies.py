"""Has the model learnt its recordings by heart: how near its previews come to them.

A preview is made from the embedding of a recording, so to CLAP it should lie near that recording:
nearness of meaning is no copying. It is copying where the sound itself comes back. So two distances
are taken of every preview, and each is held against what recordings that the model has never heard
give:

- 1 - cosine of embeddings to the nearest training window (evaluation/metrics/diversity.py), and
- the mean difference of log-mels to the recording that it was made from, frame by frame, against
  that of a held-out recording to the nearest training window.
"""

from dataclasses import dataclass

import numpy as np
import torch

from latentfoley.evaluation.metrics.diversity import cosine_distances
from latentfoley.training.report.alignment import last_pairs
from latentfoley.training.report.judgement import Finding, look_for
from latentfoley.training.report.material import DenoiserRun, log_mels, read_sounds
from latentfoley.training.report.run import Run

SIGNATURE = "Memorised recordings"

# Held-out recordings that lie as near to training recordings as a preview that counts as a copy:
# one in twenty, which takes in recordings that are nearly in the data twice.
NEARER_THAN = 0.05
# Previews that may count as copies by that chance: more than a quarter of eight happens to an
# innocent model once in two hundred runs.
MOST_COPIES = 0.25
# Of the embedding distance of held-out recordings: a copy is nearer than half of it to CLAP's ears.
NEAR_IN_MEANING = 0.5
_MOST_TRAINING, _MOST_HELD_OUT = 400, 64  # windows that are looked up


@dataclass(frozen=True)
class Nearness:
    """Distances of N previews and M held-out recordings to what was trained on.

    Attributes:
        made_cosine, held_out_cosine: 1 - cosine to the nearest training window.
        made_mel: nats to the recording that each preview was made from.
        held_out_mel: nats to the nearest training window.
    """

    made_cosine: np.ndarray
    held_out_cosine: np.ndarray
    made_mel: np.ndarray
    held_out_mel: np.ndarray


def judge_copies(run: Run) -> Finding:
    """Look for previews that are copies of what was trained on."""
    return look_for(SIGNATURE, lambda: judge_nearness(measure(run)))


def judge_nearness(found: Nearness) -> Finding:
    """Say what distances to the training recordings mean."""
    limit = float(np.quantile(found.held_out_mel, NEARER_THAN))
    copies = float((found.made_mel < limit).mean())
    near = float(np.median(found.made_cosine) / np.median(found.held_out_cosine))
    made, held_out = np.median(found.made_cosine), np.median(found.held_out_cosine)
    figure = (
        f"1 - cosine to the nearest training window: generated {made:.3f}, held out {held_out:.3f} "
        f"(ratio {near:.2f}, limit {NEAR_IN_MEANING}); log-mel distance: generated "
        f"{np.median(found.made_mel):.2f} nats to the recording each was made from, held out "
        f"{np.median(found.held_out_mel):.2f} to the nearest; nearer than the nearest "
        f"{100 * NEARER_THAN:g} % of held-out recordings ({limit:.2f}): {100 * copies:.0f} % of "
        f"the generated (limit {100 * MOST_COPIES:.0f} %)"
    )
    if copies > MOST_COPIES and near < NEAR_IN_MEANING:
        return Finding(
            SIGNATURE,
            "found",
            "Generated sounds are training recordings over again. Train on more recordings or "
            "fewer steps, and check the licences before anything is published.",
            figure,
        )
    said = "Generated sounds are no nearer to the training recordings than their meaning asks."
    return Finding(SIGNATURE, "clear", said, figure)


def measure(run: Run) -> Nearness:
    """Listen to the last previews, and look up windows of both splits.

    Raises:
        UnmeasuredError, UserError: no CLAP, no data, or no previews as sound.
    """
    pairs = last_pairs(run)
    denoiser = DenoiserRun(run)
    seen = denoiser.windows("train", _MOST_TRAINING)
    unseen = denoiser.windows("valid", _MOST_HELD_OUT)
    rate, ears = denoiser.mel.sample_rate, denoiser.ears()
    made, sources = (read_sounds(paths, rate) for paths in pairs)
    E, of_sources = ears.hear(made, rate), ears.hear(sources, rate)
    known = torch.cat([seen.E, of_sources]).numpy()
    return Nearness(
        made_cosine=cosine_distances(E.numpy(), known).min(axis=1),
        held_out_cosine=cosine_distances(unseen.E.numpy(), known).min(axis=1),
        made_mel=_differences(log_mels(made, denoiser.mel), log_mels(sources, denoiser.mel)),
        held_out_mel=np.array(
            [_differences(one[None], seen.log_mel).min() for one in unseen.log_mel]
        ),
    )


def _differences(one: torch.Tensor, other: torch.Tensor) -> np.ndarray:
    """Return the mean |X - Y| of each pair, in nats."""
    return np.asarray((one - other).abs().mean(dim=(1, 2, 3)).numpy())
