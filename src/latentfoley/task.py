"""What is made on the way from noise to sound: plain generation here, edits in `editing`.

`pipeline.py` leads every request through the same stages. A task decides two of them: which latent
the walk ends with, and what is done with the waveform. It does not know about models or files.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Float32

from latentfoley.diffusion import Denoiser
from latentfoley.encoding import safe_gain
from latentfoley.notation import Latent
from latentfoley.provenance import EditRecord
from latentfoley.samplers import Noise, Plan, sample

Samples = Float32[np.ndarray, "N"]


@dataclass(frozen=True, eq=False)
class Walk:
    """The way from noise to z_0 for one batch of clips: all that an edit may enter or bend.

    Attributes:
        denoiser: ε̂ guided by the request's prompts.
        plan: sampler and timesteps from noise to clean.
        noise: fresh standard normals of the clips, each from its own generator.
        tick: callback of `sample`.
    """

    denoiser: Denoiser
    plan: Plan
    noise: Noise
    tick: Callable[[int, int, Latent], None]


class Task(Protocol):
    """What is made of a walk."""

    @property
    def n_samples(self) -> int:
        """Length of each clip."""

    @property
    def edit(self) -> EditRecord | None:
        """What the provenance says of it; None of a generation."""

    def latent(self, walk: Walk) -> Latent:
        """Return the z_0 of the clips."""

    def finish(self, waveform: Samples) -> Samples:
        """Return the clip, given all that the vocoder made of z_0: up to a latent frame more."""


@dataclass(frozen=True)
class Generation:
    """From noise to clean, and nothing else."""

    n_samples: int
    edit: None = None

    def latent(self, walk: Walk) -> Latent:
        """Walk the whole way."""
        return sample(walk.denoiser, walk.noise(), walk.plan, walk.noise, callback=walk.tick)

    def finish(self, waveform: Samples) -> Samples:
        """Return the waveform, turned down as a whole where it would clip."""
        cut = waveform[: self.n_samples]
        return np.float32(safe_gain(cut)) * cut
