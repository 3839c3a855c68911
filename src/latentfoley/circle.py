"""A generated sound that repeats without a seam: its latent is a circle and not a line.

Before a network looks at it, the circle is cut open with a margin at both ends that repeats what
follows there; what the network says is rolled up again, and where it has spoken twice one copy
gives way to the other along half a cosine. So no moment is an end: to the UNet at every step, to
the VAE, and to the vocoder. `editing/loop.py` loops recordings.
"""

import math
from dataclasses import dataclass, replace
from functools import partial

import torch
from jaxtyping import Float, Real
from torch import Tensor

from latentfoley.config import ModelConfig
from latentfoley.diffusion import Denoiser
from latentfoley.notation import Latent
from latentfoley.request import GenerationRequest
from latentfoley.sampling import Samples, SamplingRun

MARGIN_S = 1.28  # an eighth of a window; more than the vocoder and the VAE's convolutions see


@dataclass(frozen=True)
class LoopedGeneration:
    """From noise to a sound whose end leads on to its beginning.

    A circle has a whole number of latent frames, so the sound is made up to one frame too long and
    then resampled as a whole: it is that much higher, 0.8 % at 5 s and frames of 80 ms.

    Attributes:
        request: what was asked for.
        n_samples: length of each clip.
        margin: latent frames repeated at either end.
        samples_per_latent: samples to a latent frame.
    """

    request: GenerationRequest
    n_samples: int
    margin: int
    samples_per_latent: int

    @classmethod
    def of(
        cls, request: GenerationRequest, n_samples: int, config: ModelConfig
    ) -> "LoopedGeneration":
        """Return the mode for a model."""
        rate, unit = config.mel.sample_rate, config.mel.hop_length * config.vae.compression
        return cls(request, n_samples, round(MARGIN_S * rate / unit), unit)

    def enter(self, run: SamplingRun) -> SamplingRun:
        """Let the denoiser see a circle, and cut it open for the decoder."""
        return replace(
            run,
            denoiser=circular(run.denoiser, self.margin),
            to_decoder=partial(cut_open, margin=self.margin),
        )

    def finish(self, waveform: Samples) -> Samples:
        """Return the waveform rolled up, and as long as it was asked for."""
        opened = torch.from_numpy(waveform)[None, None, :, None]
        unit = self.samples_per_latent
        n_samples = len(waveform) // unit * unit - 2 * self.margin * unit
        opened = opened[:, :, : n_samples + 2 * self.margin * unit]
        rolled = roll_up(opened, n_samples, self.margin * unit)[0, 0, :, 0]
        return _resample(rolled, self.n_samples).numpy()


def circular(denoiser: Denoiser, margin: int) -> Denoiser:
    """Return the denoiser of latents whose last frame is beside their first."""

    def eps_hat(z_n: Latent, n: Real[Tensor, "B"]) -> Latent:
        return roll_up(denoiser(cut_open(z_n, margin), n), z_n.shape[2], margin)

    return eps_hat


def cut_open(x: Float[Tensor, "B C T F"], margin: int) -> Float[Tensor, "B C T+2*margin F"]:
    """Return a circle as a line: what comes before it at its start, what comes after at its end.

    Example:
        >>> cut_open(torch.arange(3.0).view(1, 1, 3, 1), 2).flatten().tolist()
        [1.0, 2.0, 0.0, 1.0, 2.0, 0.0, 1.0]
    """
    n_frames = x.shape[2]
    return x[:, :, torch.arange(-margin, n_frames + margin, device=x.device) % n_frames]


def roll_up(
    opened: Float[Tensor, "B C L F"], n_frames: int, margin: int
) -> Float[Tensor, "B C {n_frames} F"]:
    """Return the circle that was cut open: the mean of what both ends say of the same moment.

    Within half a margin of the cut one end gives way to the other; the outer halves are there to be
    looked at only.
    """
    half = margin // 2
    rise = 0.5 - 0.5 * torch.cos(math.pi * (torch.arange(2 * half) + 0.5) / max(2 * half, 1))
    edge = torch.cat([torch.zeros(margin - half), rise])
    weights = torch.ones(n_frames + 2 * margin)
    weights[: len(edge)] *= edge
    weights[len(weights) - len(edge) :] *= edge.flip(0)
    weights = weights.to(opened)[:, None]  # (L, 1)
    # Circles shorter than the margin pass by more than twice.
    places = torch.arange(-margin, n_frames + margin, device=opened.device) % n_frames
    total = opened.new_zeros(*opened.shape[:2], n_frames, opened.shape[3])
    total.index_add_(2, places, weights * opened)
    weight = weights.new_zeros(n_frames, 1).index_add_(0, places, weights)
    circle: Tensor = total / weight
    return circle


def _resample(circle: Float[Tensor, "N"], n_samples: int) -> Float[Tensor, "{n_samples}"]:
    """Return one period of a sound in another number of samples; exact, for it is periodic."""
    if len(circle) == n_samples:
        return circle
    period: Tensor = torch.fft.irfft(torch.fft.rfft(circle), n_samples)
    return period * (n_samples / len(circle))
