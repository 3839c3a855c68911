"""Ten times its capacity, and worse: `python benchmarks/serve/load.py`.

Jobs are offered at ten times the rate at which the server finishes them, for five minutes, while
`/health` is asked twenty times a second and the memory of both processes is read. Then slow heads,
a body of 4 GiB, a FLAC of 25 MB that decodes to hours, and a thousand event streams. Writes
`benchmarks/serve/load.json`.
"""

import argparse
import asyncio
import io
import json
import os
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import numpy as np
import psutil
import soundfile

HERE = Path(__file__).parent
sys.path.append(str(HERE.parents[1] / "tests"))

from servers import finished, serving, until  # noqa: E402

WORK = {"prompt": "a dog barking", "duration_s": 1.0, "steps": 5}
NAMES = ("server", "worker")
TIMES, PROBES_PER_S, STREAMS, SLOW = 10, 20, 1000, 200


def capacity(http: httpx2.Client) -> float:
    """Return how many jobs a second the server finishes."""
    finished(http, http.post("/v1/jobs", json=WORK).json()["id"])
    begun = time.perf_counter()
    ids = [http.post("/v1/jobs", json={**WORK, "index": k}).json()["id"] for k in range(20)]
    for job_id in ids:
        finished(http, job_id)
    return len(ids) / (time.perf_counter() - begun)


async def flood(url: str, per_s: float, seconds: float, processes: list[psutil.Process]) -> dict:
    """Offer jobs, ask for health, read memory."""
    codes, accepted, health, memory = {}, [], [], []
    async with httpx2.AsyncClient(base_url=url, timeout=60) as http:
        end = time.perf_counter() + seconds

        async def offer(k: int) -> None:
            answer = await http.post("/v1/jobs", json={**WORK, "index": k})
            codes[answer.status_code] = codes.get(answer.status_code, 0) + 1
            if answer.status_code == 202:
                accepted.append(answer.json()["id"])

        async def offering() -> None:
            k, running = 0, set()
            while time.perf_counter() < end:
                task = asyncio.create_task(offer(k))
                running.add(task)
                task.add_done_callback(running.discard)
                k += 1
                await asyncio.sleep(1 / per_s)
            await asyncio.gather(*running)

        async def probing() -> None:
            async with httpx2.AsyncClient(base_url=url, timeout=60) as probe:
                while time.perf_counter() < end:
                    begun = time.perf_counter()
                    assert (await probe.get("/health")).status_code == 200
                    health.append(time.perf_counter() - begun)
                    await asyncio.sleep(1 / PROBES_PER_S)

        async def measuring() -> None:
            while time.perf_counter() < end:
                memory.append([process.memory_info().rss for process in processes])
                await asyncio.sleep(2)

        await asyncio.gather(offering(), probing(), measuring())
    return {"codes": codes, "accepted": accepted, "health": health, "memory": memory}


def growth(memory: list[list[int]]) -> list[float]:
    """Return the MB that each process has at the end beyond what it had after a fifth."""
    fifth = memory[len(memory) // 5 : len(memory) // 5 + 5], memory[-5:]
    first, last = (np.median(np.array(part), axis=0) for part in fifth)
    return [round(float(mb), 1) for mb in (last - first) / 1e6]


async def slow_heads(port: int) -> dict:
    """Open connections that send a byte a second, and ask for health meanwhile."""
    pairs = [await asyncio.open_connection("127.0.0.1", port) for _ in range(SLOW)]
    begun, spent, open_ = time.perf_counter(), [], SLOW
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        while open_ and time.perf_counter() - begun < 30:
            for _, writer in pairs:
                if not writer.is_closing():
                    writer.write(b"GET /" if time.perf_counter() - begun < 1 else b"a")
            at = time.perf_counter()
            assert (await http.get("/health")).status_code == 200
            spent.append(time.perf_counter() - at)
            await asyncio.sleep(1)
            open_ = sum(not (reader.at_eof() or writer.is_closing()) for reader, writer in pairs)
    return {"connections": SLOW, "all_closed_after_s": round(time.perf_counter() - begun, 1),
            "slowest_health_s": round(max(spent), 3)}  # fmt: skip


def announce(url: str, n_bytes: int) -> int:
    """Send the head of a request alone, and return the status that comes back."""
    place = httpx2.URL(url)
    head = f"POST /v1/jobs HTTP/1.1\r\nHost: {place.host}:{place.port}\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {n_bytes}\r\n\r\n"
    with socket.create_connection((place.host, place.port), timeout=60) as connection:
        connection.sendall(head.encode())
        return int(connection.recv(64).split()[1])


def large_bodies(url: str, process: psutil.Process) -> dict:
    """Send 4 GiB, with and without saying so, and see what it costs the server."""
    before = process.memory_info().rss

    def endless(sent: list[int]) -> Iterator[bytes]:
        while True:
            sent.append(1 << 20)
            yield bytes(1 << 20)

    sent, headers = [], {"content-type": "application/json"}
    announced = announce(url, 4 << 30)
    with httpx2.Client(base_url=url, timeout=60) as http:
        try:
            unsaid = http.post("/v1/jobs", content=endless(sent), headers=headers).status_code
        except httpx2.TransportError:  # it hangs up on a client that does not listen
            unsaid = "hung up"
    return {"announced": announced, "not_announced": unsaid,
            "sent_mb": round(sum(sent) / 1e6), "server_grew_mb":
            round((process.memory_info().rss - before) / 1e6, 1)}  # fmt: skip


def long_flac(url: str) -> dict:
    """Upload a FLAC of 25 MB that decodes to hours."""
    rng, block, written = np.random.default_rng(0), 16_000 * 60, 0
    data = io.BytesIO()
    with soundfile.SoundFile(data, "w", 16_000, 1, "PCM_16", format="FLAC") as file:
        while data.tell() < 25_000_000:
            file.write(rng.integers(-1, 2, block, dtype=np.int16))
            written += block
    parts = {"request": (None, '{"kind": "vary"}'), "source": ("long.flac", data.getvalue())}
    begun = time.perf_counter()
    with httpx2.Client(base_url=url, timeout=120) as http:
        answer = http.post("/v1/jobs", files=parts)
    return {"mb": round(len(data.getvalue()) / 1e6, 1), "hours": round(written / 16_000 / 3600, 2),
            "status": answer.status_code, "detail": answer.json()["detail"],
            "answered_after_s": round(time.perf_counter() - begun, 2)}  # fmt: skip


async def streams(url: str, job: dict) -> dict:
    """Open a thousand event streams of one long job."""
    codes, entered = {}, asyncio.Event()

    async def one(client: httpx2.AsyncClient) -> None:
        try:
            async with client.stream("GET", f"/v1/jobs/{job['id']}/events") as stream:
                codes[stream.status_code] = codes.get(stream.status_code, 0) + 1
                if stream.status_code == 200:
                    await entered.wait()
        except httpx2.TransportError:
            codes["hung up"] = codes.get("hung up", 0) + 1

    bounds = httpx2.Limits(max_connections=None)
    async with httpx2.AsyncClient(base_url=url, timeout=60, limits=bounds) as client:
        tasks = [asyncio.create_task(one(client)) for _ in range(STREAMS)]
        while sum(codes.values()) < STREAMS:
            await asyncio.sleep(0.1)
        begun = time.perf_counter()
        alive = (await client.get("/health")).status_code
        spent = time.perf_counter() - begun
        entered.set()
        await asyncio.gather(*tasks)
    return {"answers": codes, "health": alive, "health_s": round(spent, 3)}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--model", default="tiny")
    options.add_argument("--seconds", type=float, default=300)
    given = options.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(given.model, folder, "--max-queue", 50) as server,
        server.client() as http,
    ):
        processes = [psutil.Process(pid) for pid in (server.process.pid, *server.workers())]
        per_s = capacity(http)
        print(f"capacity {per_s:.2f} jobs a second", flush=True)
        told = asyncio.run(flood(server.url, TIMES * per_s, given.seconds, processes))
        states = [finished(http, job_id)["state"] for job_id in told["accepted"]]
        health = sorted(told["health"])
        result = {
            "capacity_jobs_per_s": round(per_s, 2),
            "offered_times": TIMES,
            "seconds": given.seconds,
            "answers": told["codes"],
            "accepted_and_done": [len(states), states.count("done")],
            "health_s": {
                "n": len(health),
                "median": round(statistics.median(health), 4),
                "p99": round(health[int(0.99 * len(health))], 4),
            },
            "memory_growth_mb": dict(
                zip(("server", "worker"), growth(told["memory"]), strict=True)
            ),
            "slow_heads": asyncio.run(slow_heads(server.port)),
            "large_bodies": large_bodies(server.url, processes[0]),
            "long_flac": long_flac(server.url),
        }
        long = {**WORK, "steps": 1000, "duration_s": 30.0}
        job = http.post("/v1/jobs", json=long).json()
        until(lambda: http.get(f"/v1/jobs/{job['id']}").json()["state"] == "running")
        result["event_streams"] = asyncio.run(streams(server.url, job))
        http.delete(f"/v1/jobs/{job['id']}")
        result |= {"model": given.model, "load_average": round(os.getloadavg()[0], 1),
                   "cores": os.cpu_count()}  # fmt: skip
    (HERE / "load.json").write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
