"""What a client asks for: bodies of JSON → one `GenerationRequest` or `EditRequest`.

A job keeps what was asked as plain values, with the names of uploaded recordings; its worker builds
the same request from them. The ranges and the words of errors are those of `request.py`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from latentfoley.editing.request import EditRequest
from latentfoley.request import GenerationRequest
from latentfoley.serve.problems import Problem
from latentfoley.serve.settings import Limits

UPLOADS = ("source", "other", "audio_prompt")  # parts of a form that are recordings
Request = GenerationRequest | EditRequest


def _require_prompt(value: Any) -> Any:
    """Refuse what `build` would not take for a prompt."""
    parts = value if isinstance(value, list) else [value]
    if value is None or (parts and all(isinstance(part, str | dict) for part in parts)):
        return value
    raise ValueError("must be a text, texts with weights, or a list of those")


Prompt = Annotated[
    str | dict[str, float] | list[str | dict[str, float]] | None,
    BeforeValidator(_require_prompt),
]


class JobBody(BaseModel):
    """A generation, or with `kind` an edit of the uploaded part `source`. What is left out takes
    the defaults of the command line."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        json_schema_extra={
            "examples": [
                {"prompt": "a dog barking", "duration_s": 2.0, "seed": 7},
                {"kind": "inpaint", "prompt": "a dog barking", "spans": [[0.2, 0.6]]},
            ]
        },
    )

    kind: str | None = Field(default=None, description="Kind of edit; none is a generation.")
    prompt: Prompt = Field(
        default=None, description="A text, texts with weights, or a list of those."
    )
    negative_prompt: str | None = None
    duration_s: float | None = None
    loop: bool | None = None
    steps: int | None = None
    guidance: float | None = None
    sampler: str | None = None
    spacing: str | None = None
    eta: float | None = None
    fast: bool | None = None
    seed: int | None = None
    n: int | None = None
    candidates: int | None = None
    index: int | None = None
    candidate: int | None = None
    trim: bool | None = None
    fade_in_s: float | None = None
    fade_out_s: float | None = None
    normalise_lufs: float | None = None
    sample_rate: int | None = None
    channels: int | None = None
    strength: float | None = None
    source_prompt: str | None = None
    invert: bool | None = None
    spans: list[Annotated[list[float], Field(min_length=2, max_length=2)]] | None = None
    bands: list[Annotated[list[float], Field(min_length=2, max_length=2)]] | None = None
    repeats: int | None = None
    before_s: float | None = None
    after_s: float | None = None
    cutoff_hz: float | None = None
    seam_s: float | None = None
    mix: float | None = None

    def asked(self, uploads: Mapping[str, str]) -> dict[str, Any]:
        """Return the plain values of a job; `uploads` are names of files by their part."""
        given = self.model_dump(exclude_none=True)
        return {"files": dict(uploads), **given}


def build(asked: Mapping[str, Any], folder: Path) -> Request:
    """Return the request of a job.

    Args:
        asked: what `JobBody.asked` returns.
        folder: where its recordings are.

    Raises:
        InputError: a value that is not allowed, as from the command line.
    """
    options = {name: value for name, value in asked.items() if name not in ("files", "kind")}
    prompt = options.pop("prompt", None)
    files = {part: folder / part / name for part, name in asked["files"].items()}
    if asked.get("kind") is None:
        return GenerationRequest.build(prompt, **options, **files)
    source = files.pop("source", Path())
    return EditRequest.build(asked["kind"], source, prompt, **options, **files)


def require_affordable(request: Request, lengths_s: Mapping[str, float], limits: Limits) -> None:
    """Refuse what takes more than one job may.

    Args:
        request: what is asked for.
        lengths_s: of the uploaded recordings, by their part.
        limits: of the server.

    Raises:
        Problem: says how much it is, and how much is allowed.
    """
    if isinstance(request, GenerationRequest):
        clip_s, repeats = request.duration_s, 1
    else:
        clip_s = lengths_s.get("source", 0.0) + request.before_s + request.after_s
        repeats = request.repeats
    sounds = request.n_clips * request.candidates
    work = clip_s * request.steps * sounds * repeats
    if work > limits.work:
        times = f" × {repeats} repeats" if repeats > 1 else ""
        raise Problem(
            422,
            f"{clip_s:g} s × {request.steps} steps × {sounds} sounds{times} = {work:,.0f}; this "
            f"server allows {limits.work:,.0f} in one job. Ask for less, or in several jobs.",
        )
