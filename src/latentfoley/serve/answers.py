"""What the server answers: bodies, problems of OpenAPI, what a job says of itself."""

from typing import Annotated, Any, Literal

from fastapi import Header, Query, Request
from pydantic import BaseModel

from latentfoley.serve.problems import MEDIA_TYPE
from latentfoley.serve.service import Service
from latentfoley.serve.sounds import FORMATS
from latentfoley.serve.store import Job, State


class ProblemBody(BaseModel):
    """What every error looks like (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str


class Sound(BaseModel):
    """One clip of a job.

    `identity` names its samples: sounds with the same identity have the same samples. `warning`
    says where the prompt is far from all that the model knows.
    """

    identity: str
    duration_s: float
    score: float | None = None
    warning: str | None = None
    audio: str
    picture: str
    record: str


class JobAnswer(BaseModel):
    """A job as it stands; times are seconds since 1970."""

    id: str
    state: State
    n_clips: int
    request: dict[str, Any]
    sounds: list[Sound]
    created: float
    started: float | None
    ended: float | None
    problem: str | None
    place: int | None = None
    step: int | None = None
    steps: int | None = None
    seconds_left: float | None = None


class Jobs(BaseModel):
    """The latest jobs of a token, newest first."""

    jobs: list[JobAnswer]


class Health(BaseModel):
    """Whether the server answers, and whether it can compute."""

    alive: bool
    ready: bool
    queued: int


class Model(BaseModel):
    """A model that can be named in a request; `knows` are the kinds of sound it was trained on,
    none where its folder does not say so, and `mel` is its front end."""

    id: str
    object: Literal["model"] = "model"
    owned_by: str = "latentfoley"
    knows: list[str]
    mel: dict[str, Any]
    identity: dict[str, Any]


class Models(BaseModel):
    """The models of this server."""

    object: Literal["list"] = "list"
    data: list[Model]


class Record(BaseModel):
    """How a clip came to be, and the command that makes the same samples."""

    provenance: dict[str, Any]
    command: str


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI entries of the errors that a route can answer with."""
    schema = {"schema": {"$ref": "#/components/schemas/ProblemBody"}}
    every = {400, 401, 403, 408, 413, 422, 500, *statuses}
    return {
        status: {"description": "A problem.", "content": {MEDIA_TYPE: schema}}
        for status in sorted(every)
    }


def service_of(request: Request) -> Service:
    """Return the service behind an app."""
    found: Service = request.app.state.service
    return found


def owner_of(request: Request) -> str:
    """Return who asks, as the guard found out."""
    return str(request.scope["owner"])


Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        description="The same key is never computed twice: repeat a request with it at will.",
    ),
]


Clip = Annotated[int, Query(ge=0, le=2**31, description="Number of the clip, from 0.")]


def answer_for(job: Job, service: Service) -> JobAnswer:
    """Return what is told about a job."""
    told = service.progress(job.id)
    base = f"/v1/jobs/{job.id}"
    sounds = [
        Sound(
            **sound,
            audio=f"{base}/audio?clip={k}",
            picture=f"{base}/picture?clip={k}",
            record=f"{base}/record?clip={k}",
        )
        for k, sound in enumerate(job.sounds)
    ]
    return JobAnswer(
        **{
            "id": job.id,
            "state": job.state,
            "n_clips": job.n_clips,
            "request": dict(job.request),
            "sounds": sounds,
            "created": job.created,
            "started": job.started,
            "ended": job.ended,
            "problem": job.problem or None,
            **told,
        }
    )


def audio_content() -> dict[str, Any]:
    binary = {"schema": {"type": "string", "format": "binary"}}
    return {form.media_type: binary for form in FORMATS.values()}


AUDIO: dict[int | str, dict[str, Any]] = {
    200: {"description": "The sound.", "content": audio_content()}
}


ANY_CONTENT = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}


RECORDING: dict[int | str, dict[str, Any]] = {
    200: {"description": "The recording.", "content": ANY_CONTENT}
}
