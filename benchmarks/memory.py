"""What a long sound takes in memory: `python benchmarks/memory.py`.

`tiny` generates, and transfers, 10 s, 60 s and 600 s as the command line does: from request to
file, each in a process of its own, in two steps; more steps take more time and no more memory.
Beyond one window of 10.24 s the networks' part is the same at any length; what is left to grow is
the sound itself. Writes `benchmarks/memory.json`: the peak of the resident memory (VmHWM), imports
and weights included, and seconds.
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile
import torch

HERE = Path(__file__).parent
DURATIONS_S = (10, 60, 600)
STEPS = 2
RATE = 16_000

PROGRAM = """
import sys
from pathlib import Path

from latentfoley.cli import main

sys.argv[0] = "latentfoley"
try:
    main()
except SystemExit as end:
    assert not end.code, end
lines = Path("/proc/self/status").read_text().splitlines()
print(next(line for line in lines if line.startswith("VmHWM")).split()[1])
"""


def measure(words: list[str]) -> dict[str, float]:
    """Run a command of LatentFoley in a new process; return its peak in MB."""
    start = os.times().elapsed
    line = [sys.executable, "-c", PROGRAM, *words, "--steps", str(STEPS), "--device", "cpu"]
    end = subprocess.run(line, check=True, capture_output=True, text=True)
    peak_kib = int(end.stdout.splitlines()[-1])
    seconds = round(os.times().elapsed - start, 1)
    return {"peak_MB": round(1024 * peak_kib / 1e6), "seconds": seconds}


def main() -> None:
    report: dict[str, object] = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}",
        "steps": STEPS,
    }
    with tempfile.TemporaryDirectory() as place:
        for duration_s in DURATIONS_S:
            source, out = Path(place) / f"{duration_s}.wav", ["--out", f"{place}/out.wav"]
            rng = np.random.default_rng(0)
            sound = rng.uniform(-0.5, 0.5, duration_s * RATE).astype(np.float32)
            soundfile.write(source, sound, RATE)
            commands = {
                "generate": ["generate", "rain", "--duration", str(duration_s), *out],
                "transfer": ["edit", "transfer", str(source), "rain", *out],
            }
            for name, words in commands.items():
                report[f"{name}, {duration_s} s"] = measure(words)
                print(name, duration_s, report[f"{name}, {duration_s} s"], flush=True)
    (HERE / "memory.json").write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
