"""One run of the sampler, and the modes that enter it: generation here, edits in `editing`.

`pipeline.py` calls `sample` once for every batch. A mode decides what that call is given (the
start, the plan, the denoiser, what happens after each step), which latent is decoded, and what is
done with the waveform. It does not know about models or files.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float32

from latentfoley.diffusion import Denoiser
from latentfoley.encoding import safe_gain
from latentfoley.notation import Latent
from latentfoley.request import GenerationRequest, SamplingRequest
from latentfoley.samplers import Noise, Plan

Samples = Float32[np.ndarray, "N"]
Callback = Callable[[int, int, Latent], None]
"""Called as (steps done, steps in all, z) after each step."""


@dataclass(frozen=True, eq=False)
class SamplingRun:
    """What `sample` is called with, for one batch of clips.

    Attributes:
        denoiser: ε̂, guided by the request's prompts.
        start: the latent at the first timestep; standard normals unless an edit says otherwise.
        plan: sampler and timesteps from noise to clean; None where `start` is z_0 already.
        noise: fresh standard normals of the clips, each from its own generator.
        callback: told of each step.
        after_step: (z, n) → z, applied to what each step returns; None for nothing.
        to_decoder: z_0 → what is decoded.
    """

    denoiser: Denoiser
    start: Latent
    plan: Plan | None
    noise: Noise
    callback: Callback
    after_step: Callable[[Latent, float], Latent] | None = None
    to_decoder: Callable[[Latent], Latent] = lambda z_0: z_0


class SamplingMode(Protocol):
    """What makes a generation a generation, and an edit that edit."""

    @property
    def request(self) -> SamplingRequest:
        """What was asked for, completed by what was found in the recordings."""

    @property
    def n_samples(self) -> int:
        """Length of each clip."""

    def enter(self, run: SamplingRun) -> SamplingRun:
        """Return the run that makes the clips, given the one that generates from noise."""

    def finish(self, waveform: Samples) -> Samples:
        """Return the clip, given all that the vocoder made: up to a latent frame more."""


@dataclass(frozen=True)
class Generation:
    """From noise to clean, and nothing else."""

    request: GenerationRequest
    n_samples: int

    def enter(self, run: SamplingRun) -> SamplingRun:
        """Return the run as it is."""
        return run

    def finish(self, waveform: Samples) -> Samples:
        """Return as much of the waveform as was asked for."""
        return waveform[: self.n_samples]


def turned_down(waveform: Samples) -> Samples:
    """Return a waveform within full scale: turned down as a whole where it would clip."""
    return np.float32(safe_gain(waveform)) * waveform


def clip_generator(seed: int, index: int, candidate: int) -> torch.Generator:
    """Return the one source of randomness of a clip; on the CPU, so that it is so everywhere."""
    # Four words of 32 bits: written as one number, a long seed would run into the index.
    words = [seed & (2**32 - 1), seed >> 32, index, candidate]
    (state,) = np.random.SeedSequence(words).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state) & (2**63 - 1))
