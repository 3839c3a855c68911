"""Sounds made from a recording: zero-shot editing with a model that was trained to generate.

`request.py` says what can be asked for, `source.py` reads the recording, and one file per kind of
edit turns both into a task that `Model.make` leads from noise to sound. Every edit enters or bends
the one sampler loop; none has a loop of its own. `pipeline.py` comes before in the reading path.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

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
from latentfoley.pipeline import Model, Progress
from latentfoley.task import Samples, Task

__all__ = ["Edit", "EditRequest", "plot", "prepare", "run"]


def run(model: Model, request: EditRequest, progress: Progress | None = None) -> Iterator[Clip]:
    """Yield each clip of an edit as soon as it is done; see `EditRequest`.

    Raises:
        InputError: a setting that does not fit the recording.
        AudioFileError: the recording cannot be read.
    """
    yield from model.make(request, prepare(model, request), progress)


class Edit(Task, Protocol):
    """An edit that is ready to be made, and what a picture of it shows."""

    @property
    def before(self) -> Samples:
        """The recording, as long as the result."""

    @property
    def mask(self) -> LatentMask:
        """How much of each latent position is made anew, 0 … 1."""


def plot(clip: Clip, path: Path, *, task: Edit) -> None:
    """Write a PNG of the recording, the mask and the clip."""
    from latentfoley.pictures import plot_edit

    mask = task.mask[0, 0].float().cpu().numpy()
    plot_edit(path, (task.before, clip.waveform), mask, clip.provenance.title, clip.mel)


def prepare(model: Model, request: EditRequest) -> Edit:
    """Return the task of an edit, its recording read and checked."""
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
            request, region = missing_band(request, source, model.config)
            source = source.recorded(request)
    return Inpainting.of(model, source, region, request.repeats)
