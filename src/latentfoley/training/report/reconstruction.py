"""Does the VAE give back what it is given: held-out log-mels through encoder and decoder.

The distance is the mean |X - X̂| in nats, as in training. Alone it says little: loud and busy
recordings differ more from anything. So it is held against two distances on the same recordings,
that of two different ones, and that of Griffin-Lim's, which loses phases and nothing else.
"""

from dataclasses import dataclass
from pathlib import Path

import torch

from latentfoley.config import MelConfig
from latentfoley.errors import UserError
from latentfoley.griffin_lim import griffin_lim
from latentfoley.mel import log_mel
from latentfoley.notation import LogMel
from latentfoley.training.report.judgement import Finding, UnmeasuredError, look_for
from latentfoley.training.report.losses import unfinished
from latentfoley.training.report.material import (
    DenoiserRun,
    clips,
    log_mels,
    mel_config,
    trained_vae,
    windows,
)
from latentfoley.training.report.run import MAIN_LOSS, Run, read_run
from latentfoley.vae import Vae

SIGNATURE = "Poor reconstruction by the VAE"

# Of the distance between two recordings: docs/decisions/0018 has the course of a VAE that learns.
POOR = 0.2
_MOST = 16  # recordings that are listened to
_FRAMES = 256
_ITERATIONS = 32  # of Griffin-Lim


@dataclass(frozen=True)
class Reconstruction:
    """Mean |X - X̂| in nats: of the VAE, of two recordings, of Griffin-Lim; of n recordings."""

    vae: float
    unrelated: float
    griffin_lim: float
    n: int
    compression: int
    channels: int


def judge_vae(run: Run) -> Finding:
    """Look for a VAE that loses too much."""
    return look_for(
        SIGNATURE, lambda: judge_reconstruction(measure(run), still_falling=_still_falls(run))
    )


def judge_reconstruction(found: Reconstruction, *, still_falling: bool | None) -> Finding:
    """Say what distances mean; `still_falling` is whether the VAE's own loss does, if known."""
    ratio = found.vae / found.unrelated
    figure = (
        f"log-mel L1 of {found.n} held-out recordings: {found.vae:.3f} nats, two different "
        f"recordings {found.unrelated:.3f}, Griffin-Lim {found.griffin_lim:.3f} "
        f"(ratio to different recordings {ratio:.2f}, limit {POOR})"
    )
    if ratio <= POOR:
        return Finding(SIGNATURE, "clear", "Held-out recordings come back as themselves.", figure)
    undertrained = "it is undertrained: its loss still falls. Train the VAE longer."
    too_hard = (
        f"it compresses too hard ({found.compression}-fold in time and mel, {found.channels} "
        "channels) or its KL weighs too much. Take fewer levels, more latent_channels or a smaller "
        "kl_weight."
    )
    said = {
        True: f"The VAE loses too much, because {undertrained}",
        False: f"The VAE loses too much although its loss has settled: {too_hard}",
        None: f"The VAE loses too much: {too_hard} Or it was trained too briefly.",
    }
    return Finding(SIGNATURE, "found", said[still_falling], figure)


@torch.no_grad()
def measure(run: Run) -> Reconstruction:
    """Send held-out recordings through the VAE of a run.

    Raises:
        UnmeasuredError, UserError: there is no VAE or no data to measure.
    """
    vae, mel, X = _of_vae(run) if run.kind == "vae" else _of_denoiser(run)
    made = torch.cat([vae.decode(vae.encode(one)) for one in X.split(1)])
    again = log_mel(griffin_lim(X, mel, iterations=_ITERATIONS), mel)
    apart = X.roll(max(1, len(X) // 2), dims=0)  # neighbours in a manifest are often of a kind
    return Reconstruction(
        vae=_distance(X, made),
        unrelated=_distance(X, apart),
        griffin_lim=_distance(X, again),
        n=len(X),
        compression=vae.config.compression,
        channels=vae.config.latent_channels,
    )


def _of_vae(run: Run) -> tuple[Vae, MelConfig, LogMel]:
    vae, mel = trained_vae(run), mel_config(run)
    held_out = clips(run, "valid", _MOST, mel.sample_rate)
    return vae, mel, log_mels(windows(held_out, _FRAMES * mel.hop_length), mel)


def _of_denoiser(run: Run) -> tuple[Vae, MelConfig, LogMel]:
    denoiser = DenoiserRun(run)
    return denoiser.vae(), denoiser.mel, denoiser.windows("valid", _MOST).log_mel


def _still_falls(run: Run) -> bool | None:
    """Return whether the loss of the VAE's own run falls at its end; None if that is not here."""
    try:
        own = run if run.kind == "vae" else read_run(Path(str(run.recipe.get("vae"))).parent)
        return unfinished(own, own.series(MAIN_LOSS["vae"])).status == "found"
    except (UnmeasuredError, UserError):
        return None


def _distance(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one - other).abs().mean())
