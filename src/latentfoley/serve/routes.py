"""Jobs over HTTP: ask, follow, fetch, cancel; and what the server says about itself."""

import hashlib
import json
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Request
from pydantic import BaseModel, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse

from latentfoley.serve.asked import UPLOADS, JobBody, build, require_affordable
from latentfoley.serve.drawing import draw
from latentfoley.serve.metrics import CONTENT_TYPE_LATEST
from latentfoley.serve.problems import MEDIA_TYPE, Problem, describe
from latentfoley.serve.service import Service, discard
from latentfoley.serve.sounds import FORMATS, convert, require_format
from latentfoley.serve.store import Job, State
from latentfoley.serve.uploads import measure, save

router = APIRouter()

_MAX_FIELD_BYTES = 1 << 20
_LISTED = 100


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

_BODY = {
    "required": True,
    "content": {
        "application/json": {"schema": {"$ref": "#/components/schemas/JobBody"}},
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["request"],
                "properties": {
                    "request": {"type": "string", "description": "The JSON of a JobBody."},
                    **{part: {"type": "string", "format": "binary"} for part in UPLOADS},
                },
            }
        },
    },
}


@router.post(
    "/v1/jobs",
    status_code=202,
    response_model=JobAnswer,
    response_model_exclude_none=True,
    responses={200: {"model": JobAnswer}, **problems(415, 429, 503, 507)},
    openapi_extra={"requestBody": _BODY},
)
async def create_job(request: Request, key: Key = None) -> Response:
    """Accept a generation, or with `kind` an edit of an uploaded recording.

    The body is JSON, or a form with the JSON in `request` and recordings in `source` (an edit),
    `other` (a morph) or `audio_prompt`. The answer is 202, or 200 where the key is known.
    """
    service, owner = service_of(request), owner_of(request)
    if key is None or await service.known(owner, key) is None:
        service.require_room(owner)  # before the body is read
    job_id = secrets.token_hex(16)
    folder = service.store.folder_of(job_id)
    try:
        async with AsyncExitStack() as stack:
            body, uploads = await _parse(request, stack)
            job = await run_in_threadpool(_prepare, service, body, uploads, folder, owner, key)
        kept, new = await service.accept(job)
    except BaseException:
        await run_in_threadpool(discard, folder)
        raise
    if not new:
        await run_in_threadpool(discard, folder)
    answer = answer_for(await service.get(owner, kept.id), service)
    place = {"Location": f"/v1/jobs/{kept.id}"}
    return JSONResponse(answer.model_dump(exclude_none=True), 202 if new else 200, place)


async def _parse(request: Request, stack: AsyncExitStack) -> tuple[JobBody, dict[str, UploadFile]]:
    """Return what the body says, and the recordings in it, which are open as long as the stack."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        form = await stack.enter_async_context(
            request.form(max_files=len(UPLOADS), max_fields=1, max_part_size=_MAX_FIELD_BYTES)
        )
        return _body(_request_part(form)), _recordings(form)
    if kind != "application/json":
        raise Problem(415, "the body must be application/json or multipart/form-data")
    return _body(await request.body()), {}


def _request_part(form: FormData) -> str:
    part = form.get("request")
    if not isinstance(part, str):
        raise Problem(422, "the form needs a field 'request' that holds JSON")
    return part


def _recordings(form: FormData) -> dict[str, UploadFile]:
    found: dict[str, UploadFile] = {}
    for name, part in form.multi_items():
        if name == "request":
            continue
        if name not in UPLOADS or not isinstance(part, UploadFile) or name in found:
            allowed = ", ".join(UPLOADS)
            raise Problem(422, f"the form takes one file each as {allowed}, got '{name[:80]}'")
        found[name] = part
    return found


def _body(text: str | bytes) -> JobBody:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        raise Problem(400, "the request is not valid JSON") from None
    try:
        return JobBody.model_validate(values)
    except ValidationError as error:
        raise Problem(422, describe(error.errors(), JobBody.model_fields)) from None


def _prepare(
    service: Service,
    body: JobBody,
    uploads: dict[str, UploadFile],
    folder: Path,
    owner: str,
    key: str | None,
) -> Job:
    """Write and check the recordings, build the request, and return the job.

    Raises:
        UserError: a recording or a setting that is not allowed.
        Problem: more than one job may take, or a recording is missing.
    """
    if body.kind is not None and "source" not in uploads:
        raise Problem(422, "an edit needs the recording: a form with the file in 'source'")
    limits = service.settings.limits
    files = {part: save(upload, folder / part) for part, upload in uploads.items()}
    lengths_s = {part: measure(path, limits.upload_s) for part, path in files.items()}
    asked = body.asked({part: path.name for part, path in files.items()})
    request = build(asked, folder)
    require_affordable(request, lengths_s, limits)
    print_ = hashlib.sha256(json.dumps(asked, sort_keys=True).encode())
    for part in sorted(files):
        print_.update(hashlib.sha256(files[part].read_bytes()).digest())
    return new_job(folder.name, owner, key, print_.hexdigest(), asked, request.n_clips)


def new_job(
    job_id: str, owner: str, key: str | None, fingerprint: str, asked: dict[str, Any], n_clips: int
) -> Job:
    """Return a job that is about to be accepted."""
    return Job(job_id, owner, key, fingerprint, asked, n_clips, created=time.time())


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


@router.get(
    "/v1/jobs",
    response_model=Jobs,
    response_model_exclude_none=True,
    responses=problems(),
)
async def list_jobs(request: Request, limit: Annotated[int, Query(ge=1, le=_LISTED)] = 50) -> Jobs:
    """List the latest jobs of this token, newest first."""
    service = service_of(request)
    rows = await run_in_threadpool(service.store.latest, owner_of(request), limit)
    jobs = [await service.get(owner_of(request), row.id) for row in rows]
    return Jobs(jobs=[answer_for(job, service) for job in jobs])


@router.get(
    "/v1/jobs/{job_id}",
    response_model=JobAnswer,
    response_model_exclude_none=True,
    responses=problems(404),
)
async def get_job(request: Request, job_id: str) -> JobAnswer:
    """Say how a job stands."""
    service = service_of(request)
    return answer_for(await service.get(owner_of(request), job_id), service)


@router.delete(
    "/v1/jobs/{job_id}",
    status_code=202,
    response_model=JobAnswer,
    response_model_exclude_none=True,
    responses=problems(404, 507),
)
async def cancel_job(request: Request, job_id: str) -> JobAnswer:
    """Cancel a job between two steps; of one that has ended, delete the sounds."""
    service, owner = service_of(request), owner_of(request)
    await service.cancel(await service.get(owner, job_id))
    return answer_for(await service.get(owner, job_id), service)


@router.get(
    "/v1/jobs/{job_id}/events",
    response_class=StreamingResponse,
    responses={
        200: {"description": "Events.", "content": {"text/event-stream": {"schema": {}}}},
        **problems(404, 429),
    },
)
async def job_events(request: Request, job_id: str) -> StreamingResponse:
    """Stream the states of a job as server-sent events: queued, running (with step and steps), and
    at the end done, failed, cancelled or removed with the whole job."""
    service, owner = service_of(request), owner_of(request)
    await service.get(owner, job_id)
    most = service.settings.limits.streams
    if service.streams >= most:
        raise Problem(429, f"{most} event streams are open, which is all", retry_after="5")
    return StreamingResponse(
        _events(service, owner, job_id),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _events(service: Service, owner: str, job_id: str) -> AsyncIterator[str]:
    service.streams += 1
    try:
        async for told in service.watch(job_id):
            yield ": \n\n" if told is None else _event(told["state"], told)
        if not service.stopping:
            answer = answer_for(await service.get(owner, job_id), service)
            yield _event(answer.state, answer.model_dump(exclude_none=True))
    finally:
        service.streams -= 1


def _event(name: str, data: dict[str, Any]) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"


async def sound_path(service: Service, job: Job, clip: int) -> Path:
    """Return the file of a clip.

    Raises:
        Problem: it is not there, or not yet.
    """
    if clip < len(job.sounds):
        return service.store.folder_of(job.id) / f"{job.sounds[clip]['identity']}.wav"
    if job.state in ("queued", "running") and clip < job.n_clips:
        raise Problem(409, f"clip {clip} is not there yet: the job is {job.state}")
    why = f"; the job is {job.state}" if job.state != "done" else ""
    raise Problem(404, f"there is no clip {clip}{why}")


def _audio_content() -> dict[str, Any]:
    binary = {"schema": {"type": "string", "format": "binary"}}
    return {form.media_type: binary for form in FORMATS.values()}


AUDIO: dict[int | str, dict[str, Any]] = {
    200: {"description": "The sound.", "content": _audio_content()}
}


_ANY_CONTENT = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
RECORDING: dict[int | str, dict[str, Any]] = {
    200: {"description": "The recording.", "content": _ANY_CONTENT}
}


@router.get(
    "/v1/jobs/{job_id}/audio",
    response_class=Response,
    responses={
        **AUDIO,
        206: {"description": "A part of it.", "content": _audio_content()},
        **problems(404, 409, 416),
    },
)
async def job_audio(
    request: Request,
    job_id: str,
    clip: Clip = 0,
    form: Annotated[str, Query(alias="format", description="wav, flac, opus, mp3, pcm")] = "wav",
) -> Response:
    """Return a clip, its record inside."""
    service = service_of(request)
    wanted = require_format(form)
    path = await sound_path(service, await service.get(owner_of(request), job_id), clip)
    if form == "wav":
        return FileResponse(path, media_type=wanted.media_type)
    data = await run_in_threadpool(convert, path, form)
    return Response(data, media_type=wanted.media_type)


@router.get(
    "/v1/jobs/{job_id}/picture",
    response_class=Response,
    responses={
        200: {"description": "The picture.", "content": {"image/png": {"schema": {}}}},
        206: {"description": "A part of it.", "content": {"image/png": {"schema": {}}}},
        **problems(404, 409, 416, 503),
    },
)
async def job_picture(request: Request, job_id: str, clip: Clip = 0) -> Response:
    """Return a picture of a clip: its waveform above its log-mel."""
    service = service_of(request)
    path = await sound_path(service, await service.get(owner_of(request), job_id), clip)
    return FileResponse(await draw(path, service.model.get("mel")), media_type="image/png")


@router.get("/v1/jobs/{job_id}/record", responses=problems(404, 409))
async def job_record(request: Request, job_id: str, clip: Clip = 0) -> Record:
    """Say how a clip came to be."""
    from latentfoley.cli.info import command
    from latentfoley.provenance import read_provenance

    service = service_of(request)
    path = await sound_path(service, await service.get(owner_of(request), job_id), clip)
    record = await run_in_threadpool(read_provenance, path)
    assert record is not None
    return Record(provenance=record.to_record(), command=command(record))


@router.get(
    "/v1/jobs/{job_id}/recording",
    response_class=Response,
    responses={
        **RECORDING,
        206: {"description": "A part of it.", "content": _ANY_CONTENT},
        **problems(404, 416),
    },
)
async def job_recording(
    request: Request, job_id: str, part: Literal["source", "other", "audio_prompt"] = "source"
) -> Response:
    """Return a recording that was uploaded with a job, as it came."""
    service = service_of(request)
    job = await service.get(owner_of(request), job_id)
    name = job.request.get("files", {}).get(part)
    if name is None:
        raise Problem(404, f"the job has no recording '{part}'")
    path = service.store.folder_of(job.id) / part / name
    return FileResponse(path, media_type="application/octet-stream")


@router.get("/v1/models", responses=problems(503))
async def list_models(request: Request) -> Models:
    """List the one model of this server."""
    model = service_of(request).model
    if not model:
        raise Problem(503, "the model is still being loaded; try again soon", retry_after="2")
    return Models(data=[Model(**model)])


@router.get("/health", responses=problems())
async def health(request: Request) -> Health:
    """Say whether the server answers, and whether its model is loaded."""
    service = service_of(request)
    return Health(alive=True, ready=service.ready, queued=service.queued)


@router.get("/health/ready", responses=problems(503))
async def ready(request: Request) -> Health:
    """Answer 200 once the model is loaded, 503 before and while the server stops."""
    if not service_of(request).ready:
        raise Problem(503, "the model is not loaded", retry_after="2")
    return await health(request)


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **problems()},
)
async def metrics(request: Request) -> Response:
    """Return counters for Prometheus."""
    service = service_of(request)
    service.metrics.queued.set(service.queued)
    service.metrics.streams.set(service.streams)
    service.metrics.ready.set(service.ready)
    return Response(service.metrics.text(), media_type=CONTENT_TYPE_LATEST)
