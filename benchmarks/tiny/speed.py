"""How long the main job takes: `python benchmarks/tiny/speed.py`.

The demo as a whole process, the process that only answers `--help`, one 5 s clip of a loaded model,
and eight alone or in a batch, each three times. Writes `benchmarks/tiny/speed.json` with medians
and ranges.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from unittest import mock

import latentfoley  # before torch, as users do: it sets how waiting threads behave

RUNS = 3
HERE = Path(__file__).parent


def seconds(action: Callable[[], object]) -> dict[str, float]:
    """Return median, least and most seconds of several runs."""
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return {
        "median_s": round(statistics.median(times), 2),
        "least_s": round(min(times), 2),
        "most_s": round(max(times), 2),
    }


def command(*words: str) -> Callable[[], object]:
    """Return an action that runs the command line as a process of its own."""
    arguments = [sys.executable, "-m", "latentfoley", *words]
    return lambda: subprocess.run(arguments, check=True, capture_output=True)


def eight_clips(model: latentfoley.Model, batch_size: int) -> dict[str, float]:
    """Time eight clips denoised in batches of that size; on a CPU the size in use is one."""
    with mock.patch.object(latentfoley.Model, "batch_size", batch_size):
        return seconds(lambda: model.generate("rain", n=8))


def main() -> None:
    model = latentfoley.load("tiny")
    with tempfile.TemporaryDirectory() as folder:
        report = {
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, torch {version('torch')}",
            "runs": RUNS,
            "latentfoley --help": seconds(command("--help")),
            "demo (dog bark and picture)": seconds(
                command("generate", "a dog barking", "--plot", "--out", folder)
            ),
            "5 s clip, loaded model": seconds(lambda: model.generate("rain")),
            "8 clips of 5 s, one at a time": eight_clips(model, batch_size=1),
            "8 clips of 5 s, in one batch": eight_clips(model, batch_size=8),
            "load": seconds(lambda: latentfoley.load("tiny")),
        }
    (HERE / "speed.json").write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
