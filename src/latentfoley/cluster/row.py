"""One row → a sound and what is said of it, or the reason why there is none.

What is measured is measured on the samples of the file, so that a row that was made before a kill
and one that is made after it read the same. It does not know where sounds are kept, or about Ray.
"""

import io
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

from latentfoley.clip import Clip
from latentfoley.cluster.manifest import Row
from latentfoley.editing.request import EditRequest
from latentfoley.encoding import encode_audio
from latentfoley.errors import InputError, LatentFoleyError, ModelError
from latentfoley.levels import measure
from latentfoley.pipeline import Model
from latentfoley.places import local_file
from latentfoley.provenance import identity
from latentfoley.request import GenerationRequest

FILES = ("source", "other", "audio_prompt")  # cells that name recordings
Request = GenerationRequest | EditRequest
Waiting = dict[GenerationRequest, list[tuple[Row, GenerationRequest]]]
Find = Callable[[str], bytes | None]
"""Takes an identity, returns the file that holds it."""


class Result(NamedTuple):
    """A line of the results.

    Attributes:
        row, id: of the manifest.
        reason: why there is no sound; "" where there is one.
        identity: of its samples, see `provenance.identity`; "" where no request could be built.
        file: in the place of the results; of a shard, the member's name follows a colon.
        duration_s: of the sound, in seconds.
        score: cosine between the CLAP embeddings of sound and prompt; None without an audio tower.
        loudness_lufs, true_peak_db, silent_frames, silent, clipped: see `levels.Levels`.
    """

    row: int
    id: str
    reason: str = ""
    identity: str = ""
    file: str = ""
    duration_s: float | None = None
    score: float | None = None
    loudness_lufs: float | None = None
    true_peak_db: float | None = None
    silent_frames: float | None = None
    silent: bool | None = None
    clipped: bool | None = None


class Made(NamedTuple):
    """A row's result and its sound, a FLAC with its provenance; b"" where there is none."""

    result: Result
    flac: bytes = b""
    is_new: bool = False


def make_rows(model: Model, rows: Sequence[Row], folder: Path, find: Find) -> Iterator[Made]:
    """Yield what becomes of every row, in any order; nothing that a row does stops the others.

    Generations of equal shape are denoised together where the model does so.

    Args:
        model: what generates.
        rows: of a manifest.
        folder: that its relative paths start from.
        find: where sounds of an earlier run are.
    """
    waiting: Waiting = defaultdict(list)
    for row in rows:
        made = _or_reason(row, partial(_made_alone, model, row, folder, find, waiting))
        if made is not None:
            yield made
    for alike in waiting.values():
        for start in range(0, len(alike), model.batch_size):
            yield from _made_together(model, alike[start : start + model.batch_size])


def _made_alone(
    model: Model,
    row: Row,
    folder: Path,
    find: Find,
    waiting: Waiting,
) -> Made | None:
    """Return what becomes of a row; None where it waits for others of its shape."""
    with request_of(row, folder) as request:
        flac = find(identity(model.identity, request))
        if flac is not None:
            return describe(model, row, request, flac)
        if model.batch_size > 1 and isinstance(request, GenerationRequest) and request.prompts:
            alike = request.model_copy(update={"prompts": (), "seed": 0, "index": 0})
            waiting[alike].append((row, request))
            return None
        return _new(model, row, request)


def _made_together(model: Model, rows: Sequence[tuple[Row, GenerationRequest]]) -> Iterator[Made]:
    """Yield what becomes of rows of one shape; where they fail together, of each alone."""
    try:
        clips = list(model.run_together([request for _, request in rows]))
    except Exception:
        clips = []
    for k, (row, request) in enumerate(rows):
        made = _or_reason(row, partial(_new, model, row, request, clips[k] if clips else None))
        if made is not None:
            yield made


def _or_reason(row: Row, make: Callable[[], Made | None]) -> Made | None:
    try:
        return make()
    except LatentFoleyError as error:
        return Made(Result(row.number, row.id, str(error)))
    except Exception as error:
        return Made(Result(row.number, row.id, f"{type(error).__name__}: {error}"))


@contextmanager
def request_of(row: Row, folder: Path) -> Iterator[Request]:
    """Yield the request of a row; remote recordings lie on this machine for as long.

    Raises:
        InputError: a cell that is not allowed, a row of several clips, or a remote recording that
            cannot be read.
    """
    options = dict(row.asked)
    with ExitStack() as stack:
        for name in FILES:
            if name in options:
                options[name] = stack.enter_context(local_file(str(options[name]), folder))
        prompt, kind = options.pop("prompt", None), options.pop("edit", None)
        if kind is None:
            request: Request = GenerationRequest.build(prompt, **options)
        elif "source" in options:
            request = EditRequest.build(kind, options.pop("source"), prompt, **options)
        else:
            raise InputError(f"the edit '{kind}' needs a recording: source")
        if request.n_clips != 1:
            raise InputError(f"a row is one clip, this one asks for {request.n_clips}")
        yield request


def _new(model: Model, row: Row, request: Request, clip: Clip | None = None) -> Made:
    clip = clip or next(model.run(request))
    record = clip.provenance.to_record()
    flac = encode_audio(clip.waveform, clip.sample_rate, suffix=".flac", provenance=record)
    return describe(model, row, request, flac)._replace(is_new=True)


def describe(model: Model, row: Row, request: Request, flac: bytes) -> Made:
    """Return the result of a row whose sound is there, without its place."""
    waveform, rate = soundfile.read(io.BytesIO(flac), dtype="float32")
    samples = np.asarray(waveform, dtype=np.float32)
    levels = measure(samples, rate)
    result = Result(
        row.number,
        row.id,
        identity=identity(model.identity, request),
        duration_s=len(samples) / rate,
        score=_score(model, request, samples, rate),
        **asdict(levels),
    )
    return Made(result, flac)


def _score(model: Model, request: Request, samples: np.ndarray, rate: int) -> float | None:
    try:
        tower = model.audio
    except ModelError:  # published folders have none
        return None
    return float(tower.embed(samples, rate) @ model.embed_prompts(request)[0])
