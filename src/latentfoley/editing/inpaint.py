"""Inpainting: regenerate a region of a recording, in keeping with what is around it.

At every level n of sampling the part that is kept is put back, noised to that level:

    z_n ← m z_n + (1 − m) (√ᾱ_n z_0 + √(1 − ᾱ_n) ε)          [RePaint, Lugmayr et al. 2022, eq. 8]

with a mask m that opens with n: a position of softness v is held while n > v (N − 1) and free below
(Levin & Fried 2023), because mixing two noises would take variance from both. ε is the noise the
clip starts from, so that held positions follow one path, which multistep samplers can extrapolate.
Afterwards the recording's own samples come back outside the region.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import torch

from latentfoley.diffusion import Level, add_noise
from latentfoley.editing.masks import LatentMask, Region
from latentfoley.editing.request import EditRequest
from latentfoley.editing.source import Source
from latentfoley.model import ModelParts
from latentfoley.notation import Latent
from latentfoley.samplers import Plan, sample
from latentfoley.sampling import Samples, SamplingRun


@dataclass(frozen=True, eq=False)
class Inpainting:
    """A recording of which a region is regenerated.

    Attributes:
        source: the recording.
        z_0: its latent.
        region: what is regenerated.
        repeats: how often each step is passed, ≥ 1; more brings the region into better keeping
            with its surroundings, at as many times the cost.
    """

    source: Source
    z_0: Latent
    region: Region
    repeats: int

    @classmethod
    def of(
        cls,
        model: ModelParts,
        source: Source,
        region: Region,
        repeats: int,
        *,
        encoded: Samples | None = None,
    ) -> "Inpainting":
        """Return the mode; the level is that of the samples that are kept.

        `encoded` is what the encoder sees where that is not the recording itself.
        """
        if not region.bands_hz:
            source = source.levelled_by(~region.inside)
        waveform = source.waveform if encoded is None else encoded
        z_0 = model.encode(source.level.to_model(waveform))
        return cls(source, z_0, region, repeats)

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

    @cached_property
    def mask(self) -> LatentMask:
        """1 where the latent is regenerated, 0.5 beside it, 0 where it is kept."""
        return self.region.latent_mask().to(self.z_0)

    def enter(self, run: SamplingRun) -> SamplingRun:
        """Hold what is kept, at the start and after every step."""
        if bool((self.mask == 1).all()):  # nothing is kept: this is generation
            return run
        plan, eps = run.plan, run.start
        assert plan is not None
        above = {there.n: here for here, there in pairwise(plan.levels)}

        def after_step(z: Latent, n: float) -> Latent:
            z = self._hold(z, eps, n, plan)
            # At the end there is nothing left to bring into keeping.
            for _ in range(self.repeats - 1 if n > plan.levels[-1].n else 0):
                z = self._again(z, above[n], n, run)
                z = self._hold(z, eps, n, plan)
            return z

        start = self._hold(eps, eps, plan.timesteps[0], plan)
        return replace(run, start=start, after_step=after_step)

    def _hold(self, z: Latent, eps: Latent, n: float, plan: Plan) -> Latent:
        """Put back what is kept at this level."""
        known = add_noise(self.z_0, eps, n, plan.schedule)
        depth = max(n, 0.0) / (plan.schedule.n_train_steps - 1)
        return torch.where((self.mask >= depth) & (self.mask > 0), z, known)

    def _again(self, z: Latent, here: Level, n: float, run: SamplingRun) -> Latent:
        """Noise z from the level n up to `here`, and take that step once more.

        z_n = a z_s + √(1 − a²) ε,   a = α_n / α_s                         [RePaint, algorithm 1]
        """
        assert run.plan is not None
        a = here.alpha / run.plan.schedule.level(n).alpha
        up = a * z + (1 - a**2) ** 0.5 * run.noise()
        step = replace(run.plan, timesteps=(here.n,), end=n)
        return sample(run.denoiser, up, step, run.noise)

    def finish(self, waveform: Samples) -> Samples:
        """Put the recording's own samples back outside the region."""
        made = self.source.level.to_source(waveform[: self.n_samples])
        return self.region.compose(self.source.waveform, made)
