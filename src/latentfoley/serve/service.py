"""The queue: what is accepted, what is computed, and who waits for it.

Everything here runs in the server's event loop, but for the store, which is called in threads. The
table is the truth; the queue and the progress of running jobs are kept beside it and rebuilt from
it after a crash.
"""

import asyncio
import logging
import shutil
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from starlette.concurrency import run_in_threadpool

from latentfoley.serve.metrics import Metrics
from latentfoley.serve.problems import Problem, log_fault
from latentfoley.serve.settings import Settings
from latentfoley.serve.store import ENDED, Job, State, Store

log = logging.getLogger("latentfoley.serve")

_TIDY_EVERY_S = 60.0
_KEEP_ALIVE_S = 15.0  # a comment in an idle event stream, so that proxies keep it open


@dataclass
class Live:
    """A job that has not ended.

    Attributes:
        job: as it was accepted.
        tries: how often a worker died with it.
        done, steps: denoising steps, and in all; 0 before the first.
        started, since: when it began to compute: seconds since 1970, monotonic seconds.
        sounds: what is there of it.
        cancelled: whether somebody has asked for its end.
    """

    job: Job
    tries: int = 0
    done: int = 0
    steps: int = 0
    started: float | None = None
    since: float = 0.0
    sounds: list[dict[str, Any]] = field(default_factory=list)
    cancelled: bool = False


class Computer(Protocol):
    """What takes jobs and computes them: see `workers.py`."""

    async def run(self) -> None:
        """Compute until the server stops."""

    def cancel(self, job_id: str) -> None:
        """End a job between two steps, where it is computed here."""

    async def stop(self) -> None:
        """Finish a step, put the job back, end."""


class Service:
    """All jobs of a server.

    Attributes:
        model: what the first worker said about its model; empty until it is loaded.
        fatal: why no worker can start; the server ends with it.
        stopping: whether the server is about to end.
    """

    def __init__(self, settings: Settings, on_fatal: Callable[[], None]) -> None:
        self.settings = settings
        self.store = Store(settings.folder)
        self.metrics = Metrics()
        self.model: dict[str, Any] = {}
        self.fatal, self.stopping, self.streams = "", False, 0
        self._on_fatal = on_fatal
        self._queue: list[str] = []
        self._live: dict[str, Live] = {}
        self._mean_s = 5.0  # of a job, running mean; for Retry-After
        self._changed = asyncio.Event()
        self._accepting = asyncio.Lock()
        self._workers: Sequence[Computer] = ()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, workers: Sequence[Computer]) -> None:
        """Take up what was left, and start the workers."""
        self._workers = workers
        for job in await run_in_threadpool(self.store.recover):
            self._queue.append(job.id)
            self._live[job.id] = Live(job, job.tries)
        self._tasks = [asyncio.create_task(worker.run()) for worker in self._workers]
        self._tasks.append(asyncio.create_task(self._tidy()))

    def begin_stop(self) -> None:
        """Let streams and waiting requests end, and workers finish the step they are in."""
        self.stopping = True
        self.notify()

    async def stop(self) -> None:
        """End the workers; a running job goes back into the queue."""
        self.begin_stop()
        await asyncio.gather(*(worker.stop() for worker in self._workers))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.store.close()

    def fail(self, why: str) -> None:
        """End the server: no worker can load the model."""
        self.fatal = why
        self._on_fatal()

    @property
    def ready(self) -> bool:
        """Whether a model is loaded."""
        return bool(self.model) and not self.stopping

    @property
    def queued(self) -> int:
        """Jobs that wait."""
        return len(self._queue)

    @property
    def changed(self) -> asyncio.Event:
        """Set at the next change of anything, and then replaced by another."""
        return self._changed

    def notify(self) -> None:
        """Wake everybody who waits for a change."""
        self._changed.set()
        self._changed = asyncio.Event()

    def require_room(self, owner: str) -> None:
        """Refuse a job that there is no place for.

        Raises:
            Problem: 429 or 503, with the seconds after which to try again.
        """
        limits = self.settings.limits
        after = {"retry_after": str(self._retry_after_s())}
        if self.stopping:
            raise Problem(503, "the server is about to stop; try again soon", **after)
        if len(self._queue) >= limits.queue:
            raise Problem(429, f"the queue is full: {limits.queue} jobs wait", **after)
        mine = sum(live.job.owner == owner for live in self._live.values())
        if mine >= limits.jobs_per_token:
            raise Problem(
                429,
                f"{mine} of your jobs are unfinished; allowed: {limits.jobs_per_token}",
                **after,
            )

    def _retry_after_s(self) -> int:
        """Return when there may be room: when a job of those that are running ends."""
        return max(1, min(60, round(self._mean_s / max(1, len(self._workers)))))

    async def accept(self, job: Job) -> tuple[Job, bool]:
        """Put a job into the queue; return it and whether it is new.

        Raises:
            Problem: there is no room, or its key is that of another request.
        """
        async with self._accepting:
            if job.key is None or await self.known(job.owner, job.key) is None:
                self.require_room(job.owner)
            kept = await run_in_threadpool(self.store.add, job)
            if kept.id == job.id:
                self._queue.append(job.id)
                self._live[job.id] = Live(job)
                self.metrics.accepted.inc()
                self.notify()
                return kept, True
        if kept.fingerprint != job.fingerprint:
            raise Problem(422, "this Idempotency-Key was used for another request; draw a new one")
        return kept, False

    async def known(self, owner: str, key: str) -> Job | None:
        """Return the job of an idempotency key."""
        return await run_in_threadpool(self.store.by_key, owner, key)

    async def get(self, owner: str, job_id: str) -> Job:
        """Return a job of an owner.

        Raises:
            Problem: there is no such job.
        """
        job = await run_in_threadpool(self.store.get, job_id) if len(job_id) == 32 else None
        if job is None or job.owner != owner:
            raise Problem(404, "there is no such job")
        live = self._live.get(job_id)
        if live is None:
            return job
        state: State = "queued" if job_id in self._queue else "running"
        return replace(job, state=state, started=live.started, sounds=tuple(live.sounds))

    async def cancel(self, job: Job) -> None:
        """End a job between two steps, or delete the sounds of one that has ended."""
        live = self._live.get(job.id)
        if live is None:
            await run_in_threadpool(self.store.remove, job.id)
        elif job.id in self._queue:
            self._queue.remove(job.id)
            await self.settle(live, "cancelled")
        else:
            live.cancelled = True
            for worker in self._workers:
                worker.cancel(job.id)
        self.notify()

    def progress(self, job_id: str) -> dict[str, Any]:
        """Return what there is to say about a job that has not ended; {} of one that has."""
        live = self._live.get(job_id)
        if live is None:
            return {}
        if job_id in self._queue:
            return {"state": "queued", "place": self._queue.index(job_id) + 1}
        told: dict[str, Any] = {"state": "running", "step": live.done, "steps": live.steps}
        if 0 < live.done < live.steps:
            spent = time.monotonic() - live.since
            told["seconds_left"] = round(spent / live.done * (live.steps - live.done), 1)
        return told

    async def watch(self, job_id: str) -> AsyncIterator[dict[str, Any] | None]:
        """Yield the progress of a job as it changes, None where nothing has for a while; it ends
        with the job, or with the server."""
        last: dict[str, Any] | None = None
        while not self.stopping:
            changed, told = self._changed, self.progress(job_id)
            if not told:
                return
            if told != last:
                yield told
                last = told
            try:
                async with asyncio.timeout(_KEEP_ALIVE_S):
                    await changed.wait()
            except TimeoutError:
                yield None

    async def finished(self, owner: str, job_id: str) -> Job:
        """Return a job when it has ended.

        Raises:
            Problem: the server stops before.
        """
        while job_id in self._live:
            if self.stopping:
                raise Problem(
                    503,
                    f"the server stops; job {job_id} is kept and finished after its restart",
                    retry_after="10",
                )
            await self._changed.wait()
        return await self.get(owner, job_id)

    # What workers call.

    def take(self) -> Live | None:
        """Return the next job, None where there is no such job."""
        if not self._queue or self.stopping:
            return None
        live = self._live[self._queue.pop(0)]
        live.since, live.started = time.monotonic(), time.time()
        self.notify()
        return live

    async def put_back(self, live: Live, *, died: bool) -> None:
        """Return a job to the head of the queue, or fail it where too many workers died of it."""
        live.tries += died
        live.done, live.steps, live.sounds = 0, 0, []
        if live.cancelled:
            await self.settle(live, "cancelled")
        elif live.tries >= self.settings.limits.tries:
            said = f"its process died {live.tries} times; it may need more memory than there is"
            await self.settle(live, "failed", said)
        else:
            if died:
                await self._store("update", live.job.id, tries=live.tries)
            self._queue.insert(0, live.job.id)
            self.notify()

    def step(self, live: Live, done: int, steps: int) -> None:
        """Take note of progress."""
        live.done, live.steps = done, steps
        self.notify()

    def keep(self, live: Live, sound: dict[str, Any]) -> None:
        """Take note of a sound that is there."""
        live.sounds.append(sound)
        self.notify()

    async def settle(self, live: Live, state: State, problem: str = "") -> None:
        """End a job."""
        values = {"sounds": live.sounds, "problem": problem, "started": live.started}
        await self._store("end", live.job.id, state, **values)
        del self._live[live.job.id]
        if live.since:
            spent = time.monotonic() - live.since
            self.metrics.seconds.observe(spent)
            self._mean_s += (spent - self._mean_s) / 8
        self.metrics.ended.labels(state).inc()
        self.notify()

    async def _store(self, what: str, *args: Any, **values: Any) -> None:
        """Change the table; on a full disk, as soon as there is room again."""
        while True:
            try:
                await run_in_threadpool(lambda: getattr(self.store, what)(*args, **values))
                return
            except (sqlite3.OperationalError, OSError) as error:
                log_fault(error, "")
                await asyncio.sleep(1)

    async def _tidy(self) -> None:
        limits = self.settings.limits
        while True:
            try:
                gone = await run_in_threadpool(
                    self.store.tidy, limits.keep_s, limits.keep_bytes, time.time()
                )
                if gone:
                    log.info("removed %d old jobs", gone)
            except (sqlite3.OperationalError, OSError) as error:
                log_fault(error, "")
            await asyncio.sleep(_TIDY_EVERY_S)


def discard(folder: Path) -> None:
    """Delete the folder of a job that was not accepted."""
    shutil.rmtree(folder, ignore_errors=True)


def has_ended(job: Job) -> bool:
    """Whether nothing will change about a job."""
    return job.state in ENDED or job.state == "removed"
