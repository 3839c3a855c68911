"""Sounds made from a recording: zero-shot editing with a model that was trained to generate.

`request.py` says what can be asked for, `source.py` reads the recording, and one file per kind of
edit turns both into a task that `Model.make` leads from noise to sound. Every edit enters or bends
the one sampler loop; none has a loop of its own. `pipeline.py` comes before in the reading path.
"""

from collections.abc import Iterator

from latentfoley.clip import Clip
from latentfoley.editing.inpaint import Inpainting
from latentfoley.editing.loop import Loop
from latentfoley.editing.morph import Morph
from latentfoley.editing.regions import extended, region_of
from latentfoley.editing.request import EditRequest
from latentfoley.editing.source import read_source
from latentfoley.editing.transfer import Transfer
from latentfoley.editing.upsample import missing_band
from latentfoley.pipeline import Model, Progress
from latentfoley.task import Task

__all__ = ["EditRequest", "prepare", "run"]


def run(model: Model, request: EditRequest, progress: Progress | None = None) -> Iterator[Clip]:
    """Yield each clip of an edit as soon as it is done; see `EditRequest`.

    Raises:
        InputError: a setting that does not fit the recording.
        AudioFileError: the recording cannot be read.
    """
    yield from model.make(request, prepare(model, request), progress)


def prepare(model: Model, request: EditRequest) -> Task:
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
            source, region = extended(request, source, model.config)
        case "upsample":
            request, region = missing_band(request, source, model.config)
            source = source.recorded(request)
    return Inpainting.of(model, source, region, request.repeats)
