"""Forty SIGKILLs of server or worker, twenty jobs in flight: `python benchmarks/serve/kills.py`.

Before every kill the queue is filled up to twenty unfinished jobs; the moment after the server is
up again is drawn at random. In the end every accepted job must be done, once, with the samples that
`latentfoley generate` writes. Writes `benchmarks/serve/kills.json`.
"""

import argparse
import io
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx2
import numpy as np
import soundfile

HERE = Path(__file__).parent
sys.path.append(str(HERE.parents[1] / "tests"))

from servers import Server, finished, until  # noqa: E402

PROMPT, SECONDS, STEPS, IN_FLIGHT = "a dog barking", 1.0, 10, 20
LATEST_S = 15.0  # after the server listens; a model is loaded after a few seconds


def submit(http: httpx2.Client, index: int) -> str:
    body = {"prompt": PROMPT, "duration_s": SECONDS, "steps": STEPS, "index": index}
    answer = http.post("/v1/jobs", json=body, headers={"Idempotency-Key": f"kill-{index}"})
    assert answer.status_code in (200, 202), answer.text
    return answer.json()["id"]


def fill(http: httpx2.Client, ids: list[str]) -> None:
    """Submit until so many are unfinished; every index twice, which must give the same job."""
    states = {job["id"]: job["state"] for job in http.get("/v1/jobs?limit=100").json()["jobs"]}
    unfinished = sum(states.get(job_id) in ("queued", "running") for job_id in ids[-100:])
    for _ in range(IN_FLIGHT - unfinished):
        ids.append(submit(http, len(ids)))
        assert submit(http, len(ids) - 1) == ids[-1]


def rehearse(
    model: str, folder: Path, n_kills: int, rng: random.Random
) -> tuple[Server, list[str], list[str]]:
    """Kill, restart, fill, and return the server, the accepted jobs and who was killed."""
    options = ("--tries", 1000)
    ids, kills, server = [], [], Server(model, folder, *options)
    for _ in range(n_kills):
        with server.client() as http:
            fill(http, ids)
            pause_s = rng.uniform(0, LATEST_S)
            time.sleep(pause_s)
        workers = server.workers()
        victim = "worker" if workers and rng.random() < 0.5 else "server"
        if victim == "worker":
            os.kill(workers[0], signal.SIGKILL)
        else:
            server.kill()
            server = Server(model, folder, *options)
        kills.append(victim)
        print(f"{len(kills)}: {victim} after {pause_s:.1f} s, {len(ids)} accepted", flush=True)
    return server, ids, kills


def expected(model: str, folder: Path, n: int) -> list[np.ndarray]:
    """Return the samples that the command line writes for every index."""
    words = ["generate", PROMPT, "--duration", SECONDS, "--steps", STEPS, "-n", n]
    words += ["--model", model, "--device", "cpu", "-o", folder]
    command = [sys.executable, "-m", "latentfoley", *map(str, words)]
    subprocess.run(command, check=True, capture_output=True)
    return [soundfile.read(path, dtype="int16")[0] for path in sorted(folder.glob("*.wav"))]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--model", default="tiny")
    options.add_argument("--kills", type=int, default=40)
    given, rng = options.parse_args(), random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        server, ids, kills = rehearse(given.model, place / "served", given.kills, rng)
        with server.client() as http:
            until(lambda: http.get("/health/ready").status_code == 200)
            jobs = [finished(http, job_id) for job_id in ids]
            done = [job for job in jobs if job["state"] == "done"]
            sounds = [http.get(job["sounds"][0]["audio"]).content for job in done]
            files = [list((place / "served" / "jobs" / job_id).glob("*.wav")) for job_id in ids]
        server.kill()
        ours = expected(given.model, place / "cli", len(ids))
        same = [
            np.array_equal(soundfile.read(io.BytesIO(one), dtype="int16")[0], other)
            for one, other in zip(sounds, ours, strict=True)
        ]
    result = {
        "kills": len(kills),
        "of_the_server": kills.count("server"),
        "of_the_worker": kills.count("worker"),
        "in_flight": IN_FLIGHT,
        "accepted": len(ids),
        "done": len(done),
        "sounds_per_job": sorted({len(found) for found in files}),
        "same_samples_as_the_command_line": sum(same),
        "model": given.model,
    }
    (HERE / "kills.json").write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
