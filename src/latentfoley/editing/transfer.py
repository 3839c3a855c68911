"""Transfer and variation: noise a recording to some depth, and denoise it as something else.

    z_n = √ᾱ_n z_0 + √(1 − ᾱ_n) ε,   n = strength · (N − 1),   then the sampler from n

as in SDEdit (Meng et al. 2022) and the shallow reverse process of AudioLDM §4. The depth is a share
of the diffusion's steps and not of the sampler's, so that it means the same with every sampler.
"""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from jaxtyping import Real
from torch import Tensor

from latentfoley.diffusion import CLEAN, Denoiser, add_noise
from latentfoley.editing.masks import LatentMask
from latentfoley.editing.request import EditRequest
from latentfoley.editing.source import Source
from latentfoley.model import ModelParts
from latentfoley.notation import Latent
from latentfoley.samplers import Plan, sample
from latentfoley.sampling import Callback, Samples, SamplingRun, turned_down
from latentfoley.windows import jointly


@dataclass(frozen=True, eq=False)
class Transfer:
    """A recording as something else, or as another take of itself.

    Attributes:
        source: the recording.
        z_0: its latent.
        strength: depth, 0 … 1.
        inverse: the denoiser that leads up to the noise of the recording; None adds noise.
    """

    source: Source
    z_0: Latent
    strength: float
    inverse: Denoiser | None

    @classmethod
    def of(cls, model: ModelParts, request: EditRequest, source: Source) -> "Transfer":
        """Return the mode of a request."""
        z_0 = model.encode(source.level.to_model(source.waveform))
        what = request.source_prompt or request.source
        inverse = unguided(model, what) if request.invert else None
        return cls(source, z_0, request.strength, inverse)

    @property
    def n_samples(self) -> int:
        """Exactly as long as the recording."""
        return len(self.source.waveform)

    @property
    def request(self) -> EditRequest:
        """What was asked for."""
        return self.source.request

    @property
    def before(self) -> Samples:
        """The recording."""
        return self.source.waveform

    @property
    def mask(self) -> LatentMask:
        """Everywhere the same: the depth."""
        return torch.full((1, 1, 1, 1), self.strength)

    def enter(self, run: SamplingRun) -> SamplingRun:
        """Start at the depth asked for."""
        eps = run.start
        z_0 = self.z_0.expand_as(eps)
        if self.strength == 0:
            return replace(run, start=z_0, plan=None)
        plan = below(run.plan, self.strength)
        if self.inverse is not None:
            return self._from_its_own_noise(z_0, plan, run)
        # At full depth nothing of the recording is left: this is generation.
        z_n = eps if self.strength == 1 else _noised(z_0, eps, plan)
        return replace(run, start=z_n, plan=plan)

    def _from_its_own_noise(self, z_0: Latent, plan: Plan, run: SamplingRun) -> SamplingRun:
        """Trace the recording back to the noise that it would come from, and start there."""
        assert self.inverse is not None
        n_steps = len(plan.timesteps)

        def callback(before: int, done: int, _: int, z: Latent) -> None:
            run.callback(before + done, 2 * n_steps, z)

        z_n = invert(self.inverse, z_0, plan, partial(callback, 0))
        return replace(run, start=z_n, plan=plan, callback=partial(callback, n_steps))

    def finish(self, waveform: Samples) -> Samples:
        """Bring the sound to the recording's level, unless nothing of the recording is in it; turn
        it down as a whole where it would clip."""
        if self.strength == 1 and self.inverse is None:
            return turned_down(waveform[: self.n_samples])
        return turned_down(self.source.level.to_source(waveform[: self.n_samples]))


def below(plan: Plan | None, strength: float) -> Plan:
    """Return the part of a plan below the depth `strength` in (0, 1]; 1 is the whole plan."""
    assert plan is not None
    if strength == 1:
        return plan
    depth = strength * (plan.schedule.n_train_steps - 1)
    # A step of less than one n would make multistep samplers divide two rounding errors.
    return replace(plan, timesteps=(depth, *(n for n in plan.timesteps if n <= depth - 1)))


def invert(
    denoiser: Denoiser,
    z_0: Latent,
    plan: Plan,
    callback: Callback | None = None,
) -> Latent:
    """Return the latent at the start of `plan` from which a deterministic sampler leads to z_0.

    The same loop and the same equation, with the noise level rising.   [Song et al. 2021, §4.3]
    """
    top, *below = plan.timesteps
    # The first step leaves the clean latent, where the network was not trained: ask it at n = 0.
    climb = Plan("euler", plan.schedule, (CLEAN, *(n for n in below[::-1] if n > 0)), end=top)

    def eps_hat(z_n: Latent, n: Real[Tensor, "B"]) -> Latent:
        return denoiser(z_n, n.clamp(min=0))

    return sample(eps_hat, z_0, climb, callback=callback)


def _noised(z_0: Latent, eps: Latent, plan: Plan) -> Latent:
    return add_noise(z_0, eps, plan.timesteps[0], plan.schedule)


def unguided(model: ModelParts, what: str | Path) -> Denoiser:
    """Return ε_θ given what a recording is, in words or by its own sound: for its inversion."""
    if isinstance(what, Path):
        E = model.embed_recordings([(what, 1.0)])[None]
    else:
        E = model.text.embed([what])

    def eps_hat(z_n: Latent, n: Real[Tensor, "B"]) -> Latent:
        return model.denoiser(z_n, n, E.expand(len(z_n), -1))

    return jointly(eps_hat, model.window)
