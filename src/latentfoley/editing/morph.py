"""A morph: a sound between two recordings, in what it is and in how it goes.

Both recordings are traced back to the noise that they would come from. The noise in between them on
the sphere (Shoemake 1985), denoised towards the embedding in between, is a sound in between.
"""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch

from latentfoley.audio import read_audio, require_sound
from latentfoley.diffusion import Denoiser
from latentfoley.editing.masks import LatentMask
from latentfoley.editing.request import EditRequest
from latentfoley.editing.source import Level, Source
from latentfoley.editing.transfer import below, invert, unguided
from latentfoley.model import ModelParts
from latentfoley.notation import Latent
from latentfoley.sampling import Samples, SamplingRun, turned_down


@dataclass(frozen=True, eq=False)
class Morph:
    """A sound between two recordings, as long as the first.

    Attributes:
        request: what was asked for.
        before: the first recording.
        level: between those of the two.
        ends: latent and inverse denoiser of both.
        mix: 0 is the first … 1 the second.
        strength: depth to which both are traced back, 0 … 1.
    """

    request: EditRequest
    before: Samples
    level: Level
    ends: tuple[tuple[Latent, Denoiser], tuple[Latent, Denoiser]]
    mix: float
    strength: float

    @classmethod
    def of(cls, model: ModelParts, request: EditRequest, source: Source) -> "Morph":
        """Return the mode of a request.

        Raises:
            AudioFileError, InputError: the second recording cannot be read, or is silent.
        """
        assert request.other is not None
        other = read_audio(request.other, sample_rate=model.config.mel.sample_rate).waveform
        require_sound(other, f"'{request.other}'")
        levels = source.level, Level.of(other)
        # As long as the first: cut, or repeated as often as it takes.
        sounds = source.waveform, np.resize(other, len(source.waveform))
        paths = request.source, request.other
        ends = [
            (model.encode(level.to_model(sound)), unguided(model, path))
            for level, sound, path in zip(levels, sounds, paths, strict=True)
        ]
        level = _between(*levels, request.mix)
        return cls(
            request, source.waveform, level, (ends[0], ends[1]), request.mix, request.strength
        )

    @property
    def n_samples(self) -> int:
        """Exactly as long as the first recording."""
        return len(self.before)

    @property
    def mask(self) -> LatentMask:
        """Everywhere the same: the depth."""
        return torch.full((1, 1, 1, 1), self.strength)

    def enter(self, run: SamplingRun) -> SamplingRun:
        """Trace both back, and start from between them."""
        like = run.start
        if self.strength == 0:
            first, second = (z_0.expand_as(like) for z_0, _ in self.ends)
            return replace(run, start=slerp(first, second, self.mix), plan=None)
        plan = below(run.plan, self.strength)
        n_steps = len(plan.timesteps)

        def callback(before: int, done: int, _: int, z: Latent) -> None:
            run.callback(before * n_steps + done, 3 * n_steps, z)

        first, second = (
            invert(inverse, z_0.expand_as(like), plan, partial(callback, k))
            for k, (z_0, inverse) in enumerate(self.ends)
        )
        start = slerp(first, second, self.mix)
        return replace(run, start=start, plan=plan, callback=partial(callback, 2))

    def finish(self, waveform: Samples) -> Samples:
        """Bring the sound to a level between those of the recordings, or below if it would clip."""
        return turned_down(self.level.to_source(waveform[: self.n_samples]))


def slerp(first: Latent, second: Latent, mix: float) -> Latent:
    """Return the latent between two on the great circle through them, clip by clip.

    sin((1 − t) θ)/sin θ · a + sin(t θ)/sin θ · b: unlike a mean, it keeps the length, and so the
    noise level.                                                       [Shoemake 1985, §3.3]
    """
    a, b = first.flatten(1), second.flatten(1)
    cosine = torch.cosine_similarity(a, b, dim=1).clamp(-1, 1)
    # Along a line where there is hardly an angle to divide by.
    theta = torch.acos(cosine).clamp(min=1e-3)[:, None, None, None]
    return (torch.sin((1 - mix) * theta) * first + torch.sin(mix * theta) * second) / torch.sin(
        theta
    )


def _between(first: Level, second: Level, mix: float) -> Level:
    """Return the level between two, in decibels."""
    gain = first.gain ** (1 - mix) * second.gain**mix
    return Level(gain, (1 - mix) * first.offset + mix * second.offset)
