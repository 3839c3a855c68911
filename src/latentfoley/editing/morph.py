"""A morph: a sound between two recordings, in what it is and in how it goes.

Both recordings are traced back to the noise that they would come from. The noise in between them on
the sphere (Shoemake 1985), denoised towards the embedding in between, is a sound in between.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from latentfoley.audio import read_audio, require_sound
from latentfoley.diffusion import Denoiser
from latentfoley.editing.masks import LatentMask
from latentfoley.editing.request import EditRequest
from latentfoley.editing.source import Level, Source, encode
from latentfoley.editing.transfer import enter, invert, unguided
from latentfoley.notation import Latent
from latentfoley.pipeline import Model
from latentfoley.provenance import EditRecord, Guide
from latentfoley.samplers import sample
from latentfoley.task import Samples, Walk


@dataclass(frozen=True, eq=False)
class Morph:
    """A sound between two recordings, as long as the first.

    Attributes:
        before: the first recording.
        edit: its record, with the second recording in it.
        level: between those of the two.
        ends: latent and inverse denoiser of both.
        mix: 0 is the first … 1 the second.
        strength: depth to which both are traced back, 0 … 1.
    """

    before: Samples
    edit: EditRecord
    level: Level
    ends: tuple[tuple[Latent, Denoiser], tuple[Latent, Denoiser]]
    mix: float
    strength: float

    @classmethod
    def of(cls, model: Model, request: EditRequest, source: Source) -> "Morph":
        """Return the task of a request.

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
            (encode(level.to_model(sound), model), unguided(model, path))
            for level, sound, path in zip(levels, sounds, paths, strict=True)
        ]
        edit = source.record.model_copy(update={"other": Guide.of(request.other)})
        level = _between(*levels, request.mix)
        return cls(source.waveform, edit, level, (ends[0], ends[1]), request.mix, request.strength)

    @property
    def n_samples(self) -> int:
        """Exactly as long as the first recording."""
        return len(self.before)

    @property
    def mask(self) -> LatentMask:
        """Everywhere the same: the depth."""
        return torch.full((1, 1, 1, 1), self.strength)

    def latent(self, walk: Walk) -> Latent:
        """Trace both back, and walk down from between them."""
        shape = walk.noise()
        if self.strength == 0:
            first, second = (z_0.expand_as(shape) for z_0, _ in self.ends)
            return slerp(first, second, self.mix)
        plan = enter(walk.plan, self.strength)
        n_steps = len(plan.timesteps)

        def tick(before: int, done: int, _: int, z: Latent) -> None:
            walk.tick(before * n_steps + done, 3 * n_steps, z)

        first, second = (
            invert(inverse, z_0.expand_as(shape), plan, partial(tick, k))
            for k, (z_0, inverse) in enumerate(self.ends)
        )
        z_n = slerp(first, second, self.mix)
        return sample(walk.denoiser, z_n, plan, walk.noise, callback=partial(tick, 2))

    def finish(self, waveform: Samples) -> Samples:
        """Bring the sound to a level between those of the recordings."""
        return self.level.to_source(waveform[: self.n_samples])


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
