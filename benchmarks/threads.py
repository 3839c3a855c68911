"""How long a sound takes on all cores, and on one, alone and beside a busy core, by the policy of
threads that wait: OpenMP's default, which spins, and PASSIVE, which sleeps.

    python benchmarks/threads.py

Every figure is the median of runs in processes of their own, the conditions in turn, so that what
else the machine does falls on all of them. A run that takes longer than the limit counts as the
limit. Writes benchmarks/threads.json.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from itertools import product
from pathlib import Path
from statistics import median

HERE = Path(__file__).parent
POLICIES = {"default": "", "passive": "PASSIVE"}
PROGRAM = """
import os, sys, time
if not os.environ["OMP_WAIT_POLICY"]:
    del os.environ["OMP_WAIT_POLICY"]
import torch  # reads the policy before the package sets its own
import latentfoley
model = latentfoley.load("tiny", device="cpu")
model.generate("rain", duration_s=1, steps=1)
start = time.perf_counter()
model.generate("rain", duration_s=float(sys.argv[1]), steps=int(sys.argv[2]))
print(time.perf_counter() - start)
"""


def generate_s(policy: str, threads: int, options: argparse.Namespace) -> float:
    """Return the seconds of one sound in a fresh process."""
    environment = {name: v for name, v in os.environ.items() if name != "OMP_NUM_THREADS"}
    environment["OMP_WAIT_POLICY"] = POLICIES[policy]
    if threads:
        environment["OMP_NUM_THREADS"] = str(threads)
    words = [sys.executable, "-c", PROGRAM, str(options.duration), str(options.steps)]
    try:
        end = subprocess.run(
            words,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=options.limit,
        )
    except subprocess.TimeoutExpired:
        return float(options.limit)
    return float(end.stdout)


def measure(n_busy: int, options: argparse.Namespace) -> dict[str, float]:
    """Return the median seconds by policy and number of threads, beside so many busy cores."""
    cases = list(product(POLICIES, (0, 1)))
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(n_busy)]
    try:
        rounds = [
            [generate_s(policy, threads, options) for policy, threads in cases]
            for _ in range(options.repeats)
        ]
    finally:
        for process in busy:
            process.kill()
            process.wait()
    names = [f"{policy}, {threads or 'all'}" for policy, threads in cases]
    return {
        name: round(median(runs), 2)
        for name, runs in zip(names, zip(*rounds, strict=True), strict=True)
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--duration", type=float, default=5.0, help="of the sound, in seconds")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--limit", type=float, default=120.0, help="seconds of a process")
    parser.add_argument("--out", type=Path, default=HERE / "threads.json")
    options = parser.parse_args()
    result = {
        "machine": platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "load_before": round(os.getloadavg()[0], 1),
        "duration_s": options.duration,
        "steps": options.steps,
        "repeats": options.repeats,
        "idle_s": measure(0, options),
        "beside_a_busy_core_s": measure(1, options),
    }
    options.out.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
