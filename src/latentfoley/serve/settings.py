"""What a server is started with, and its limits: every one has a default that is safe."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Limits(BaseModel):
    """What one client may take, so that there is something left for the others.

    Attributes:
        body_bytes: of one request, uploads included; refused before it is parsed.
        body_s: seconds in which a body must arrive.
        header_s: seconds in which the head of a request must arrive.
        upload_s: seconds of sound in an uploaded recording, counted while decoding.
        work: clip seconds × steps × sounds of one job; 5 s at 25 steps are 125.
        queue: jobs that wait.
        jobs_per_token: unfinished jobs of one token.
        job_s: seconds that a job may compute.
        tries: how often a job is started whose worker dies.
        streams: open event streams.
        connections: open connections.
        keep_s: how long sounds are kept after a job has ended.
        keep_bytes: how much is kept; the oldest ended jobs are removed first.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    body_bytes: int = Field(default=64 * 2**20, ge=1024)
    body_s: float = Field(default=120.0, gt=0)
    header_s: float = Field(default=10.0, gt=0)
    upload_s: float = Field(default=600.0, gt=0)
    work: float = Field(default=50_000.0, gt=0)
    queue: int = Field(default=100, ge=1)
    jobs_per_token: int = Field(default=50, ge=1)
    job_s: float = Field(default=600.0, gt=0)
    tries: int = Field(default=2, ge=1)
    streams: int = Field(default=100, ge=1)
    connections: int = Field(default=512, ge=8)
    keep_s: float = Field(default=7 * 86_400.0, gt=0)
    keep_bytes: int = Field(default=10 * 2**30, ge=0)


class Settings(BaseModel):
    """What a server is started with.

    Attributes:
        folder: of the job store and the sounds.
        host, port: where to listen; port 0 takes a free one.
        tokens: any of them opens the API; none opens it to everybody on this machine.
        model, lora, dtype, compat: as in `load`.
        devices: as in `load`, one worker for each; None is the fastest.
        limits: see `Limits`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    folder: Path
    host: str = "127.0.0.1"
    port: int = Field(default=8321, ge=0, le=65_535)
    tokens: tuple[str, ...] = ()
    model: str = "tiny"
    lora: Path | None = None
    dtype: str = "auto"
    compat: str = "trained"
    devices: tuple[str | None, ...] = (None,)
    limits: Limits = Limits()
