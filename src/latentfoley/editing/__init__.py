"""Sounds made from a recording: zero-shot editing with a model that was trained to generate.

`request.py` says what can be asked for, `source.py` reads the recording, and one file per kind of
edit turns both into a `SamplingMode`: the start, plan, denoiser and `after_step` of the one call of
`sample` in `pipeline.py`. None has a loop of its own.
"""

from pathlib import Path
from typing import Protocol

from latentfoley.audio import resample
from latentfoley.clip import Clip
from latentfoley.editing.inpaint import Inpainting
from latentfoley.editing.loop import Loop
from latentfoley.editing.masks import LatentMask
from latentfoley.editing.morph import Morph
from latentfoley.editing.regions import extension, region_of
from latentfoley.editing.request import EditRequest
from latentfoley.editing.source import read_source
from latentfoley.editing.transfer import Transfer
from latentfoley.editing.upsample import missing_band
from latentfoley.model import ModelParts
from latentfoley.sampling import Samples, SamplingMode

__all__ = ["Edit", "EditRequest", "plot", "prepare"]


class Edit(SamplingMode, Protocol):
    """An edit that is ready to be made, and what a picture of it shows."""

    @property
    def before(self) -> Samples:
        """The recording, as long as the result."""

    @property
    def mask(self) -> LatentMask:
        """How much of each latent position is regenerated, 0 … 1."""


def prepare(model: ModelParts, request: EditRequest) -> Edit:
    """Return the mode of an edit, its recording read and checked.

    Raises:
        InputError: a setting that does not fit the recording.
        AudioFileError: the recording cannot be read.
    """
    source = read_source(request, model)
    match request.kind:
        case "transfer" | "vary":
            return Transfer.of(model, request, source)
        case "loop":
            return Loop.of(model, request, source)
        case "morph":
            return Morph.of(model, request, source)
        case "inpaint":
            region = region_of(request, source, model.config)
        case "extend":
            return extension(model, request, source)
        case "upsample":
            source, region = missing_band(source, model.config)
    return Inpainting.of(model, source, region, request.repeats)


def plot(clip: Clip, path: Path, *, edit: Edit) -> None:
    """Write a PNG of the recording, the mask and the clip."""
    from latentfoley.pictures import plot_edit

    mask = edit.mask[0, 0].float().cpu().numpy()
    after = resample(clip.waveform, clip.sample_rate, clip.mel.sample_rate)
    plot_edit(path, (edit.before, after), mask, clip.provenance.title, clip.mel)
