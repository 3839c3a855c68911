"""A server in a process of its own, as a user starts it."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import httpx2
import psutil


class Server:
    """A running server.

    Attributes:
        url: where it listens.
        folder: of its jobs.
        log: lines it has written so far.
        process: of the server, not of its worker.
    """

    def __init__(self, model, folder, *options, port=0, env=None):
        words = ["serve", "--model", model, "--folder", folder, "--port", port, "--device", "cpu"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "latentfoley", *map(str, [*words, *options])],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **(env or {})},
        )
        self.folder, self.log = folder, []
        self._listening = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        assert self._listening.wait(240) and self.process.poll() is None, "".join(self.log)
        self.url = re.search(r"listening on (\S+)", "".join(self.log))[1]
        self.port = int(self.url.rpartition(":")[2])

    def _read(self):
        for line in self.process.stderr:
            self.log.append(line)
            if "listening on" in line:
                self._listening.set()
        self._listening.set()

    def client(self, token=None, **options):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx2.Client(base_url=self.url, headers=headers, timeout=120, **options)

    def wait_until_ready(self):
        with self.client() as http:
            until(lambda: http.get("/health/ready").status_code == 200)

    def workers(self):
        """Return the ids of its child processes that hold a model."""
        children = psutil.Process(self.process.pid).children()
        return [child.pid for child in children if "latentfoley.serve.worker" in child.cmdline()]

    def kill(self):
        """End it without a chance to clean up."""
        self.process.kill()
        self._close()

    def end(self, number=signal.SIGTERM):
        """Send a signal, wait, and return the exit code."""
        self.process.send_signal(number)
        self._close()
        return self.process.returncode

    def _close(self):
        self.process.wait(60)
        self._reader.join(10)
        self.process.stderr.close()


@contextmanager
def serving(model, folder, *options, **more):
    """Yield a server whose model is loaded."""
    server = Server(model, folder, *options, **more)
    try:
        server.wait_until_ready()
        yield server
    finally:
        if server.process.poll() is None:
            server.kill()


def until(true, timeout_s=240, pause_s=0.02):
    """Wait until a function returns something true, and return that."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        if value := true():
            return value
        time.sleep(pause_s)
    raise AssertionError("it did not happen in time")


def finished(http, job_id):
    """Return a job once it has ended."""

    def ended():
        job = http.get(f"/v1/jobs/{job_id}").json()
        return job if job["state"] not in ("queued", "running") else None

    return until(ended)
