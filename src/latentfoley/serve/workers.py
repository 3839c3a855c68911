"""One worker process, seen from the server: started, fed, watched, started again.

They talk in lines of JSON over its standard input and output. A worker whose input ends exits, so
none outlives its server; a server whose worker's output ends puts the job back.
"""

import asyncio
import json
import logging
import sys
from typing import Any

from latentfoley.serve.service import Live, Service

log = logging.getLogger("latentfoley.serve")

_GRACE_S = 10.0  # to finish a step before it is killed
_PAUSE_S = 1.0
_MAX_LINE_BYTES = 1 << 20


class Worker:
    """The process that holds the model on one device."""

    def __init__(self, service: Service, device: str | None) -> None:
        self._service, self._device = service, device
        self._process: asyncio.subprocess.Process | None = None
        self._live: Live | None = None
        self._timed_out = False

    async def run(self) -> None:
        """Keep a process alive and feed it, for as long as the server runs."""
        while not self._service.stopping and not self._service.fatal:
            await self._start()
            try:
                await self._lead()
            finally:
                await self._end()
            if self._live is not None:
                await self._put_back_after_death()

    async def _start(self) -> None:
        settings = self._service.settings
        asked = settings.model_dump(mode="json", include={"model", "lora", "dtype", "compat"})
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "latentfoley.serve.worker"),
            json.dumps(asked | {"device": self._device}),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=_MAX_LINE_BYTES,
        )

    async def _lead(self) -> None:
        """Load the model, then do one job after the other until the process ends."""
        told = await self._read()
        if told.get("tells") == "broken" and not self._service.model:
            self._service.fail(told["why"])
        if told.get("tells") != "ready":
            await asyncio.sleep(_PAUSE_S)  # it could not start: do not spin
            return
        self._service.model = self._service.model or told["model"]
        self._service.notify()
        assert self._process is not None
        dead = asyncio.create_task(self._process.wait())
        while await self._has_job(dead):
            assert self._live is not None
            if not await self._compute(self._live):
                break
        dead.cancel()

    async def _has_job(self, dead: "asyncio.Task[int]") -> bool:
        """Wait for a job; return whether the process is alive to do it."""
        while not dead.done():
            changed = self._service.changed
            self._live = self._service.take()
            if self._live is not None:
                return True
            waiting = asyncio.create_task(changed.wait())
            await asyncio.wait({waiting, dead}, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
        return False

    async def _compute(self, live: Live) -> bool:
        """Have a job computed; return whether the process is alive afterwards."""
        job, limit_s = live.job, self._service.settings.limits.job_s
        folder = self._service.store.folder_of(job.id)
        self._timed_out = False
        timer = asyncio.get_running_loop().call_later(limit_s, self._time_out)
        self._tell(do="run", id=job.id, folder=str(folder), request=dict(job.request))
        try:
            while told := await self._read():
                match told["tells"]:
                    case "step":
                        self._service.step(live, told["done"], told["steps"])
                    case "sound":
                        self._service.keep(live, told["sound"])
                    case _:
                        await self._settle(live, told)
                        self._live = None
                        return True
        finally:
            timer.cancel()
        return False

    async def _settle(self, live: Live, told: dict[str, Any]) -> None:
        match told["tells"]:
            case "done":
                await self._service.settle(live, "done")
            case "failed":
                await self._service.settle(live, "failed", told["why"])
            case "cancelled" if self._timed_out:
                await self._service.settle(live, "failed", self._too_long())
            case _:  # cancelled by its owner, or the server stops
                await self._service.put_back(live, died=False)

    async def _put_back_after_death(self) -> None:
        live, self._live = self._live, None
        assert live is not None
        if self._timed_out:
            await self._service.settle(live, "failed", self._too_long())
        else:
            if not self._service.stopping:
                self._service.metrics.deaths.inc()
                log.warning("worker died job=%s", live.job.id)
            await self._service.put_back(live, died=not self._service.stopping)

    def cancel(self, job_id: str) -> None:
        """End a job between two steps, if this worker has it."""
        if self._live is not None and self._live.job.id == job_id:
            self._tell(do="cancel", id=job_id)

    def _time_out(self) -> None:
        if self._live is not None:
            self._timed_out = True
            self.cancel(self._live.job.id)
            asyncio.get_running_loop().call_later(_GRACE_S, self._kill_late, self._live)

    def _kill_late(self, live: Live) -> None:
        if self._live is live and self._process is not None:
            self._process.kill()

    def _too_long(self) -> str:
        limit_s = self._service.settings.limits.job_s
        return f"it took more than {limit_s:g} s, which is what this server allows one job"

    async def stop(self) -> None:
        """Let the process finish its step and end."""
        if self._process is None or self._process.returncode is not None:
            return
        if self._live is not None:
            self._tell(do="cancel", id=self._live.job.id)
        try:
            async with asyncio.timeout(_GRACE_S):
                while self._live is not None:
                    await asyncio.sleep(0.01)
        except TimeoutError:
            self._process.kill()
        await self._end()

    async def _end(self) -> None:
        """Close the pipes; the process exits when its input ends."""
        process = self._process
        if process is None:
            return
        assert process.stdin is not None
        process.stdin.close()
        try:
            async with asyncio.timeout(_GRACE_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    async def _read(self) -> dict[str, Any]:
        """Return the next message; {} where the process has ended."""
        assert self._process is not None and self._process.stdout is not None
        line = await self._process.stdout.readline()
        return dict(json.loads(line)) if line.endswith(b"\n") else {}

    def _tell(self, **order: Any) -> None:
        assert self._process is not None and self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
