"""Inpainting: make a region of a recording anew, in keeping with what is around it.

At every level n of the walk the part that is kept is put back, noised to that level:

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
from latentfoley.editing.source import Source, encode
from latentfoley.notation import Latent
from latentfoley.pipeline import Model
from latentfoley.provenance import EditRecord
from latentfoley.samplers import sample
from latentfoley.task import Samples, Walk


@dataclass(frozen=True, eq=False)
class Inpainting:
    """A recording of which a region is made anew.

    Attributes:
        source: the recording.
        z_0: its latent.
        region: what is made anew.
        repeats: how often each step is walked, ≥ 1; more brings the region into better keeping
            with its surroundings, at as many times the cost.
    """

    source: Source
    z_0: Latent
    region: Region
    repeats: int

    @classmethod
    def of(
        cls,
        model: Model,
        source: Source,
        region: Region,
        repeats: int,
        *,
        heard: Samples | None = None,
    ) -> "Inpainting":
        """Return the task; the level is that of the samples that are kept.

        `heard` is what is encoded where that is not the recording itself.
        """
        if not region.bands_hz:
            source = source.levelled_by(~region.inside)
        waveform = source.waveform if heard is None else heard
        z_0 = encode(source.level.to_model(waveform), model)
        return cls(source, z_0, region, repeats)

    @property
    def n_samples(self) -> int:
        """Exactly as long as the recording."""
        return len(self.source.waveform)

    @property
    def edit(self) -> EditRecord:
        """Its record."""
        return self.source.record

    @property
    def before(self) -> Samples:
        """The recording."""
        return self.source.waveform

    @cached_property
    def mask(self) -> LatentMask:
        """1 where the latent is made anew, 0.5 beside it, 0 where it is kept."""
        return self.region.latent_mask().to(self.z_0)

    def latent(self, walk: Walk) -> Latent:
        """Walk from noise, holding what is kept."""
        eps = walk.noise()
        if bool((self.mask == 1).all()):  # nothing is kept: this is generation
            return sample(walk.denoiser, eps, walk.plan, walk.noise, callback=walk.tick)
        start = self._hold(eps, eps, walk.plan.timesteps[0], walk)
        levels = walk.plan.levels
        above = {there.n: here for here, there in pairwise(levels)}

        def after_step(z: Latent, n: float) -> Latent:
            z = self._hold(z, eps, n, walk)
            # At the end there is nothing left to bring into keeping.
            for _ in range(self.repeats - 1 if n > levels[-1].n else 0):
                z = self._again(z, above[n], n, walk)
                z = self._hold(z, eps, n, walk)
            return z

        return sample(
            walk.denoiser, start, walk.plan, walk.noise, after_step=after_step, callback=walk.tick
        )

    def _hold(self, z: Latent, eps: Latent, n: float, walk: Walk) -> Latent:
        """Put back what is kept at this level."""
        known = add_noise(self.z_0, eps, n, walk.plan.schedule)
        depth = max(n, 0.0) / (walk.plan.schedule.n_train_steps - 1)
        return torch.where((self.mask >= depth) & (self.mask > 0), z, known)

    def _again(self, z: Latent, here: Level, n: float, walk: Walk) -> Latent:
        """Noise z from the level n up to `here`, and walk that step once more.

        z_n = a z_s + √(1 − a²) ε,   a = α_n / α_s                         [RePaint, algorithm 1]
        """
        a = here.alpha / walk.plan.schedule.level(n).alpha
        up = a * z + (1 - a**2) ** 0.5 * walk.noise()
        step = replace(walk.plan, timesteps=(here.n,), end=n)
        return sample(walk.denoiser, up, step, walk.noise)

    def finish(self, waveform: Samples) -> Samples:
        """Put the recording's own samples back outside the region."""
        made = self.source.level.to_source(waveform[: self.n_samples])
        return self.region.compose(self.source.waveform, made)
