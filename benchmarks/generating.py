"""What generating with the published sizes takes in memory: `python benchmarks/generating.py`.

Each size, with random weights, makes one clip of 10 s in two steps on the CPU, in a process of its
own; S makes one of 60 and of 600 s too, in the fastest precision. More steps take more time and no
more memory. Writes `benchmarks/generating.json`: the peak of the resident memory (VmHWM), imports
and weights included, and seconds.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

from latentfoley.config import ModelConfig
from latentfoley.devices import has_bf16, has_int8
from latentfoley.presets import large, medium, small
from loading import write_random

HERE = Path(__file__).parent
DURATION_S = 10.0
LONG_S = (60.0, 600.0)

PROGRAM = """
import json, sys, time
from pathlib import Path

import latentfoley

model = latentfoley.load(sys.argv[1], device="cpu", dtype=sys.argv[2])
start = time.perf_counter()
model.generate("rain", duration_s=float(sys.argv[3]), steps=2)
lines = Path("/proc/self/status").read_text().splitlines()
peak = 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])
print(json.dumps({"peak_GB": round(peak / 1e9, 2), "two steps_s": time.perf_counter() - start}))
"""


def measure(config: ModelConfig, dtype: str, duration_s: float = DURATION_S) -> dict[str, float]:
    """Write a model, generate with it in a new process, and return what that reports."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "model"
        n_bytes = write_random(folder, config)
        words = [sys.executable, "-c", PROGRAM, str(folder), dtype, str(duration_s)]
        end = subprocess.run(words, check=True, capture_output=True, text=True)
    report: dict[str, float] = json.loads(end.stdout.splitlines()[-1])
    report["two steps_s"] = round(report["two steps_s"], 1)
    return {"weights_GB": round(n_bytes / 1e9, 2)} | report


def wanted() -> dict[str, tuple[ModelConfig, str, float]]:
    """Return what is measured by name: a size, a precision and a duration."""
    cpu = torch.device("cpu")
    # Where bf16 is emulated it takes many minutes, and nobody would use it.
    dtypes = ("fp32", *(("bf16",) if has_bf16(cpu) else ()), *(("int8",) if has_int8(cpu) else ()))
    sizes = {"S": small(), "M": medium(), "L": large()}
    each = {
        f"{name}, {dtype}": (config, dtype, DURATION_S)
        for name, config in sizes.items()
        for dtype in dtypes
    }
    return each | {f"S, {dtypes[-1]}, {s:g} s": (small(), dtypes[-1], s) for s in LONG_S}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", help="of the report, to measure those alone again")
    names = parser.parse_args().names
    out = HERE / "generating.json"
    report: dict[str, object] = json.loads(out.read_text()) if names else {}
    report["machine"] = f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}"
    report["duration_s"] = DURATION_S
    for name, what in wanted().items():
        if not names or name in names:
            report[name] = measure(*what)
            print(name, report[name], flush=True)
    out.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
