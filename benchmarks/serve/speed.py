"""What the service costs beyond computing: `python benchmarks/serve/speed.py`.

The same work in turns: twenty clips by `Model.generate` in this process, each saved, and twenty
jobs that are sent at once. Then single jobs that compute little, followed to their end, beside the
same calls here; what a job takes longer is the added latency. Medians and quartiles over the turns
go to `benchmarks/serve/speed.json`.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path

import httpx2

import latentfoley
from latentfoley import Model

HERE = Path(__file__).parent
sys.path.append(str(HERE.parents[1] / "tests"))

from servers import finished, serving  # noqa: E402

CLIPS, TURNS, SINGLES = 20, 3, 30
WORK = {"prompt": "a dog barking", "duration_s": 5.0, "steps": 25}
LITTLE = {"prompt": "a dog barking", "duration_s": 0.5, "steps": 2}


def directly(model: Model, folder: Path, work: dict, n: int) -> float:
    begun = time.perf_counter()
    for index in range(n):
        (clip,) = model.generate(**work, index=index)
        clip.save(folder / f"{index}.wav")
    return time.perf_counter() - begun


def served(http: httpx2.Client, work: dict, n: int) -> float:
    begun = time.perf_counter()
    ids = [http.post("/v1/jobs", json={**work, "index": k}).json()["id"] for k in range(n)]
    with http.stream("GET", f"/v1/jobs/{ids[-1]}/events") as stream:
        for line in stream.iter_lines():
            if line.startswith("event: done"):
                break
    spent = time.perf_counter() - begun
    assert all(finished(http, job_id)["state"] == "done" for job_id in ids)
    return spent


def quartiles(values: list[float]) -> dict:
    low, middle, high = statistics.quantiles(values, n=4)
    return {"median": round(middle, 4), "quartiles": [round(low, 4), round(high, 4)]}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--model", default="tiny")
    given = options.parse_args()
    import torch  # after the package, which sets how threads wait: as the command line and server

    model = latentfoley.load(given.model, device="cpu")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        with serving(given.model, place / "served") as server, server.client() as http:
            directly(model, place, LITTLE, 2)
            served(http, LITTLE, 2)
            ratios, added = [], []
            for _ in range(TURNS):
                here, there = directly(model, place, WORK, CLIPS), served(http, WORK, CLIPS)
                ratios.append(here / there)
                print(f"here {here:.2f} s, served {there:.2f} s", flush=True)
            for _ in range(SINGLES):
                added.append(served(http, LITTLE, 1) - directly(model, place, LITTLE, 1))
    result = {
        "clips": CLIPS,
        "throughput_ratio": quartiles(ratios),
        "added_latency_s": quartiles(added),
        "model": given.model,
        "threads": torch.get_num_threads(),
        "load_average": round(os.getloadavg()[0], 1),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }
    (HERE / "speed.json").write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
