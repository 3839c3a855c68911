"""A request becomes a job: its body, its recordings, what it may cost."""

import hashlib
import json
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from fastapi import Request
from pydantic import ValidationError
from starlette.datastructures import FormData, UploadFile

from latentfoley.editing.request import SETTINGS
from latentfoley.errors import nearest
from latentfoley.serve.asked import UPLOADS, JobBody, build, require_affordable
from latentfoley.serve.problems import Problem, describe
from latentfoley.serve.service import Service
from latentfoley.serve.store import Job
from latentfoley.serve.uploads import measure, save

_MAX_FIELD_BYTES = 1 << 20


BODY = {
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


async def parse_body(
    request: Request, stack: AsyncExitStack
) -> tuple[JobBody, dict[str, UploadFile]]:
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


def prepare_job(
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
    if body.kind is not None and body.kind not in SETTINGS:
        kind = body.kind[:80]
        raise Problem(422, f"kind: unknown edit {kind!r}; {nearest(kind, SETTINGS)}")
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
