"""From shell to file: one 5 s clip of the embedded model, by two checkouts in turn.

    git worktree add ../before COMMIT
    python benchmarks/speed/cold_start.py ../before .

Each process starts Python, loads everything and writes the file. Both sides run once unheard, then
in turn, on one thread each. Writes `benchmarks/speed/cold_start.json`: medians of seconds by the
clock and of CPU seconds, and the median of the ratios of neighbours. On a machine that is shared
the CPU seconds are the steadier.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import torch

from latentfoley.devices import cpu_name

OUT = Path(__file__).with_suffix(".json")


def make(checkout: Path, folder: Path) -> tuple[float, float]:
    """Return seconds by the clock and CPU seconds of one command."""
    words = ["-m", "latentfoley", "generate", "a dog barking", "--device", "cpu", "--dtype", "fp32"]
    environment = os.environ | {
        "PYTHONPATH": str(checkout.resolve() / "src"),
        "OMP_NUM_THREADS": "1",
    }
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, *words, "-o", str(folder / "clip.wav")]
    subprocess.run(command, env=environment, check=True, capture_output=True, cwd=folder)
    elapsed, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return elapsed, cpu


def commit(checkout: Path) -> str:
    """Return the commit of a checkout."""
    words = ["git", "-C", str(checkout), "describe", "--always", "--dirty"]
    return subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def main() -> None:
    """Time two checkouts in turn."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--runs", type=int, default=7)
    arguments = parser.parse_args()
    sides = {"before": arguments.before, "after": arguments.after}
    with tempfile.TemporaryDirectory() as place:
        runs = [
            {k: make(side, Path(place)) for k, side in sides.items()}
            for _ in range(arguments.runs + 1)
        ]
    report: dict[str, object] = {
        "machine": f"{cpu_name()}, {os.cpu_count()} cores, torch {torch.__version__}",
        "runs": arguments.runs,
    }
    for i, clock in enumerate(("elapsed", "cpu")):
        times = {k: [run[k][i] for run in runs[1:]] for k in sides}
        report[clock] = {f"{k}_s": round(median(x), 2) for k, x in times.items()} | {
            "ratio": round(median(a / b for a, b in zip(*times.values(), strict=True)), 2)
        }
    report |= {k: commit(side) for k, side in sides.items()}
    OUT.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
