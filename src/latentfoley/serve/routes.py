"""Jobs over HTTP: ask, follow, fetch, cancel; and what the server says about itself."""

import json
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from latentfoley.serve.answers import (
    ANY_CONTENT,
    AUDIO,
    RECORDING,
    Clip,
    Health,
    JobAnswer,
    Jobs,
    Key,
    Model,
    Models,
    Record,
    answer_for,
    audio_content,
    owner_of,
    problems,
    service_of,
)
from latentfoley.serve.drawing import draw
from latentfoley.serve.intake import BODY, parse_body, prepare_job
from latentfoley.serve.metrics import CONTENT_TYPE_LATEST
from latentfoley.serve.problems import Problem
from latentfoley.serve.service import Service, discard
from latentfoley.serve.sounds import convert, require_format
from latentfoley.serve.store import Job

router = APIRouter()

_LISTED = 100


@router.post(
    "/v1/jobs",
    status_code=202,
    response_model=JobAnswer,
    response_model_exclude_none=True,
    responses={200: {"model": JobAnswer}, **problems(415, 429, 503, 507)},
    openapi_extra={"requestBody": BODY},
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
            body, uploads = await parse_body(request, stack)
            job = await run_in_threadpool(prepare_job, service, body, uploads, folder, owner, key)
        kept, new = await service.accept(job)
    except BaseException:
        await run_in_threadpool(discard, folder)
        raise
    if not new:
        await run_in_threadpool(discard, folder)
    answer = answer_for(await service.get(owner, kept.id), service)
    place = {"Location": f"/v1/jobs/{kept.id}"}
    return JSONResponse(answer.model_dump(exclude_none=True), 202 if new else 200, place)


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
    service.streams += (
        1  # no await since it was asked: of a hundred that come at once none slips in
    )
    return _EventStream(service, _events(service, owner, job_id))


class _EventStream(StreamingResponse):
    """Server-sent events, counted among the open streams until they end, however they do."""

    def __init__(self, service: Service, events: AsyncIterator[str]) -> None:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(events, media_type="text/event-stream", headers=headers)
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._service.streams -= 1


async def _events(service: Service, owner: str, job_id: str) -> AsyncIterator[str]:
    async for told in service.watch(job_id):
        yield ": \n\n" if told is None else _event(told["state"], told)
    if not service.stopping:
        answer = answer_for(await service.get(owner, job_id), service)
        yield _event(answer.state, answer.model_dump(exclude_none=True))


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


@router.get(
    "/v1/jobs/{job_id}/audio",
    response_class=Response,
    responses={
        **AUDIO,
        206: {"description": "A part of it.", "content": audio_content()},
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
        206: {"description": "A part of it.", "content": ANY_CONTENT},
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
