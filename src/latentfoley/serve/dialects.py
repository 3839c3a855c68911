"""Two foreign dialects: vLLM-Omni's and ElevenLabs' bodies, answered with a sound.

Each is turned into a job like any other and waited for. Without a seed every request gets another
sound, as with the originals; the seed that was drawn stands in the sound's record.
"""

import asyncio
import hashlib
import json
import re
import secrets
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from latentfoley.errors import InputError, nearest
from latentfoley.serve.answers import AUDIO, Key, owner_of, problems, service_of
from latentfoley.serve.asked import JobBody, build, require_affordable
from latentfoley.serve.intake import new_job
from latentfoley.serve.problems import Problem
from latentfoley.serve.routes import sound_path
from latentfoley.serve.service import Service
from latentfoley.serve.sounds import FORMATS, convert

router = APIRouter()

_ERRORS = problems(404, 429, 503, 507)
_FORMAT = re.compile(r"(?P<codec>[a-z]+3?)_(?P<rate>\d{4,6})(_\d{1,3})?")
_GUIDANCE_PER_INFLUENCE = 5.0  # ElevenLabs' default of 0.3 becomes our default of 2.5


class GenerateBody(BaseModel):
    """vLLM-Omni's body."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={
            "examples": [{"input": "The sound of a cat purring", "audio_length": 10.0}]
        },
    )

    input: str
    model: str | None = None
    audio_length: float | None = Field(default=None, description="Seconds.")
    audio_start: Literal[0] | None = Field(default=None, description="Only from the start.")
    negative_prompt: str | None = None
    guidance_scale: float | None = None
    num_inference_steps: int | None = None
    seed: int | None = None
    response_format: str = Field(default="wav", description="wav, flac, opus, mp3 or pcm.")
    speed: Literal[1] | None = Field(default=None, description="Only as it is.")

    def job(self) -> JobBody:
        """Return it in our words."""
        return JobBody(
            prompt=self.input,
            duration_s=self.audio_length,
            negative_prompt=self.negative_prompt,
            guidance=self.guidance_scale,
            steps=self.num_inference_steps,
            seed=self.seed,
        )


class SoundGenerationBody(BaseModel):
    """ElevenLabs' body."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={
            "examples": [{"text": "Spacious braam suitable for high-impact movie trailer moments"}]
        },
    )

    text: str
    duration_seconds: float | None = None
    prompt_influence: float | None = Field(default=None, ge=0, le=1)
    loop: bool | None = None
    model_id: str | None = Field(default=None, description="Ignored: theirs are not here.")

    def job(self) -> JobBody:
        """Return it in our words."""
        influence = self.prompt_influence
        return JobBody(
            prompt=self.text,
            duration_s=self.duration_seconds,
            guidance=None if influence is None else 1 + _GUIDANCE_PER_INFLUENCE * influence,
            loop=self.loop,
        )


@router.post("/v1/audio/generate", response_class=Response, responses={**AUDIO, **_ERRORS})
async def generate(request: Request, body: GenerateBody, key: Key = None) -> Response:
    """Return a sound for vLLM-Omni's field names."""
    service = service_of(request)
    served = service.settings.model
    if body.model not in (None, served):
        raise Problem(
            404, f"there is no model '{body.model[:80]}'; {nearest(body.model, [served])}"
        )
    return await _sound(request, body.job(), key, body.response_format, None)


@router.post("/v1/sound-generation", response_class=Response, responses={**AUDIO, **_ERRORS})
async def sound_generation(
    request: Request,
    body: SoundGenerationBody,
    key: Key = None,
    output_format: Annotated[
        str, Query(description="codec_rate or codec_rate_bitrate; the bit rate is the encoder's.")
    ] = "mp3_44100_128",
) -> Response:
    """Return a sound for ElevenLabs' field names."""
    codec, rate = _codec_and_rate(output_format)
    return await _sound(request, body.job(), key, codec, rate)


def _codec_and_rate(name: str) -> tuple[str, int]:
    """Read "mp3_44100_128".

    Raises:
        InputError: it is something else, or a codec that is not written here.
    """
    found = _FORMAT.fullmatch(name)
    if found is None or found["codec"] not in FORMATS:
        allowed = ", ".join(f"{codec}_RATE" for codec in FORMATS)
        raise InputError(f"output_format: '{name[:80]}' is not written here; allowed: {allowed}")
    return found["codec"], int(found["rate"])


async def _sound(
    request: Request, body: JobBody, key: str | None, form: str, rate: int | None
) -> Response:
    """Have one sound made, and return it."""
    service, owner = service_of(request), owner_of(request)
    if form not in FORMATS:
        raise InputError(f"the format '{form[:80]}' is not written here; {nearest(form, FORMATS)}")
    asked = body.asked({})
    fingerprint = hashlib.sha256(json.dumps([request.url.path, asked]).encode()).hexdigest()
    asked.setdefault("seed", secrets.randbelow(2**31))
    job_id = secrets.token_hex(16)
    built = build(asked, service.store.folder_of(job_id))
    require_affordable(built, {}, service.settings.limits)
    job, _ = await service.accept(new_job(job_id, owner, key, fingerprint, asked, 1))
    done = await _wait(request, service, owner, job.id, keep=key is not None)
    if done.state != "done":
        raise Problem(
            422 if done.state == "failed" else 503, done.problem or f"it was {done.state}"
        )
    path = await sound_path(service, done, 0)
    data = await run_in_threadpool(convert, path, form, rate)
    headers = {"X-Job-Id": job.id}
    return Response(data, media_type=FORMATS[form].media_type, headers=headers)


async def _wait(request: Request, service: Service, owner: str, job_id: str, *, keep: bool) -> Any:
    """Return the job when it has ended; cancel it where nobody waits for it any more."""
    waiting = asyncio.create_task(service.finished(owner, job_id))
    gone = asyncio.create_task(_disconnected(request))
    await asyncio.wait({waiting, gone}, return_when=asyncio.FIRST_COMPLETED)
    gone.cancel()
    if not waiting.done() and not keep:
        await service.cancel(await service.get(owner, job_id))
    return await waiting


async def _disconnected(request: Request) -> None:
    """Return when the client has hung up."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
