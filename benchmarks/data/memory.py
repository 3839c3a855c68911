"""Peak memory of `data scan`, `prepare` and `encode`, at two numbers of recordings.

`python benchmarks/data/memory.py` makes two folders of one-second recordings, sends each through
the three commands, every command in a process of its own, and writes what they took to memory.json.
The model is the micro model of the tests (random weights): what is measured is whether memory grows
with the number of recordings, and a large model would only hide it.

Peak memory is the largest resident set that any single process of a command had, workers included,
as the kernel counts it (`ru_maxrss`).
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

ROOT = Path(__file__).parents[2]
SAMPLE_RATE = 16_000
PER_FOLDER = 1000


def make_recordings(folder: Path, n: int) -> None:
    """Write n recordings of one second, no two alike: a tone of its own in noise of its own."""
    time_s = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    for k in range(n):
        rng = np.random.default_rng(k)
        waveform = 0.3 * np.sin(2 * np.pi * rng.uniform(100, 4000) * time_s)
        waveform += rng.uniform(-0.1, 0.1, SAMPLE_RATE)
        path = folder / f"{k // PER_FOLDER:03d}" / f"clip-{k:06d}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, waveform, SAMPLE_RATE)


def measure(words: list[str]) -> dict[str, float]:
    """Run a command of LatentFoley; return its seconds and its peak memory in MB."""
    start = time.monotonic()
    command = [sys.executable, "-m", "latentfoley", "data", *words, "--json"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(words)} ended with {status}")
    kilobyte = 1 if platform.system() == "Darwin" else 1024  # Linux counts in KiB
    return {
        "seconds": round(time.monotonic() - start, 1),
        "peak_mb": round(usage.ru_maxrss * kilobyte / 1e6, 1),
    }


def write_micro_model(folder: Path) -> Path:
    """Write the model in a process of its own.

    This one has to stay small: a child's peak begins with what its parent had when it was started.
    """
    program = (
        f"from micro import *; from pathlib import Path; write_model_folder(Path({str(folder)!r}))"
    )
    paths = os.pathsep.join([str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": paths}
    subprocess.run(
        [sys.executable, "-c", program], check=True, env=environment, capture_output=True
    )
    return folder


def run(n: int, workers: int, place: Path, model: Path) -> dict[str, dict[str, float]]:
    """Return what each command took for n recordings."""
    folder, prepared, latents = (place / f"{name}-{n}" for name in ("in", "prepared", "latents"))
    make_recordings(folder, n)
    in_processes = ["--workers", str(workers)]
    return {
        "scan": measure(["scan", str(folder), *in_processes]),
        "prepare": measure(["prepare", str(folder), str(prepared), *in_processes]),
        "encode": measure(
            ["encode", str(prepared), str(latents), "--model", str(model), "--duration", "1"]
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, nargs=2, default=[2000, 20_000], metavar="N")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    options = parser.parse_args()
    few, many = options.clips
    with tempfile.TemporaryDirectory() as place:
        model = write_micro_model(Path(place) / "micro")
        took = {n: run(n, options.workers, Path(place), model) for n in (few, many)}
    growth = {
        name: round(took[many][name]["peak_mb"] - took[few][name]["peak_mb"], 1)
        for name in took[few]
    }
    report = {
        "what": "one-second recordings, 16 kHz, mono; peak of the largest process of a command",
        "model": "the micro model of the tests",
        "workers": options.workers,
        "cpu_cores": os.cpu_count(),
        "recordings": took,
        "growth_mb": growth,
    }
    options.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
