"""A loop: a recording turned into one that repeats without a seam.

Rolled by half its length, a recording has its end and its beginning side by side in the middle. The
span around that seam is inpainted there and the result rolled back, so that everything but the two
ends stays as it was, and the last sample leads on to the first as any sample to the next.
"""

from dataclasses import dataclass, replace

import numpy as np

from latentfoley.editing.inpaint import Inpainting
from latentfoley.editing.masks import LatentMask, Region
from latentfoley.editing.request import EditRequest
from latentfoley.editing.source import Source
from latentfoley.errors import InputError
from latentfoley.model import ModelParts
from latentfoley.sampling import Samples, SamplingRun


@dataclass(frozen=True, eq=False)
class Loop:
    """A recording whose two ends are regenerated, as one.

    Attributes:
        rolled: the inpainting of its middle, where the ends meet.
        shift: samples that it was rolled by.
    """

    rolled: Inpainting
    shift: int

    @classmethod
    def of(cls, model: ModelParts, request: EditRequest, source: Source) -> "Loop":
        """Return the mode of a request.

        Raises:
            InputError: the seam is longer than the recording.
        """
        n_samples, rate = len(source.waveform), model.config.mel.sample_rate
        half = round(request.seam_s * rate / 2)
        if 2 * half >= n_samples:
            raise InputError(
                f"a seam of {request.seam_s:g} s does not fit into "
                f"'{source.name}'; allowed: less than {n_samples / rate:.6g} s"
            )
        shift = n_samples // 2
        rolled = replace(source, waveform=np.roll(source.waveform, shift))
        region = Region(((shift - half, shift + half),), (), n_samples, model.config)
        return cls(Inpainting.of(model, rolled, region, request.repeats), shift)

    @property
    def n_samples(self) -> int:
        """Exactly as long as the recording."""
        return self.rolled.n_samples

    @property
    def request(self) -> EditRequest:
        """What was asked for."""
        return self.rolled.request

    @property
    def before(self) -> Samples:
        """The recording."""
        return np.roll(self.rolled.before, -self.shift)

    @property
    def mask(self) -> LatentMask:
        """1 at both ends."""
        n_latents = self.rolled.mask.shape[2]
        return self.rolled.mask.roll(-round(n_latents * self.shift / self.n_samples), dims=2)

    def enter(self, run: SamplingRun) -> SamplingRun:
        """Inpaint the middle."""
        return self.rolled.enter(run)

    def finish(self, waveform: Samples) -> Samples:
        """Roll it back."""
        return np.roll(self.rolled.finish(waveform), -self.shift)
