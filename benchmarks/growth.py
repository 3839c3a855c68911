"""Seconds against duration and against the number of clips: `python benchmarks/growth.py`.

`tiny` makes sounds of 5 s to 10 min, and 1 to 16 clips of 5 s, in few steps, the sizes in turn and
the whole several times. Writes `benchmarks/growth.json`: medians of CPU seconds, the line through
those of 20 s and more (through all numbers of clips), and how far the farthest lies from it. What
grew by a square would lie far from any line: 10 min are thirty times 20 s.
"""

import argparse
import json
import platform
import time
from pathlib import Path
from statistics import median

import numpy as np
import torch

import latentfoley

OUT = Path(__file__).with_suffix(".json")
DURATIONS_S = (5, 10, 20, 40, 80, 160, 320, 600)
CLIPS = (1, 2, 4, 8, 16)
ONE_WINDOW_S = 20  # up to here a clip is one window, or little more


def cpu_seconds(model: latentfoley.Model, duration_s: float, n: int, steps: int) -> float:
    """Return the CPU seconds of a request."""
    start = time.process_time()
    model.generate("rain", duration_s=duration_s, n=n, steps=steps)
    return time.process_time() - start


def line(sizes: list[float], seconds: list[float]) -> dict[str, float]:
    """Return the line through the points, and the largest distance from it, relative to it."""
    slope, offset = np.polyfit(sizes, seconds, 1)
    there = slope * np.array(sizes) + offset
    return {
        "slope": round(float(slope), 4),
        "offset_s": round(float(offset), 3),
        "farthest": round(float(np.abs(np.array(seconds) / there - 1).max()), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--steps", type=int, default=4)
    arguments = parser.parse_args()
    model = latentfoley.load("tiny", device="cpu")
    cpu_seconds(model, 5, 1, arguments.steps)
    cases = [(d, 1) for d in DURATIONS_S] + [(5, n) for n in CLIPS]
    rounds = [
        [cpu_seconds(model, *case, arguments.steps) for case in cases]
        for _ in range(arguments.runs)
    ]
    found = dict(zip(cases, (round(median(t), 3) for t in zip(*rounds, strict=True)), strict=True))
    long = [d for d in DURATIONS_S if d >= ONE_WINDOW_S]
    n_threads = torch.get_num_threads()
    report = {
        "machine": f"{platform.machine()}, {n_threads} threads, torch {torch.__version__}",
        "runs": arguments.runs,
        "steps": arguments.steps,
        "seconds by duration": {f"{d} s": found[d, 1] for d in DURATIONS_S},
        "by duration": line(list(long), [found[d, 1] for d in long]),
        "seconds by clips": {str(n): found[5, n] for n in CLIPS},
        "by clips": line(list(CLIPS), [found[5, n] for n in CLIPS]),
    }
    OUT.write_text(json.dumps(report, indent=1) + "\n")
    print(OUT.read_text())


if __name__ == "__main__":
    main()
