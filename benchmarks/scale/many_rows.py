"""Many rows and a model that returns at once: what the batch itself costs.

Memory of the driver over time, time for each row, and the time of the same command again.

    OMP_NUM_THREADS=1 python benchmarks/scale/many_rows.py --rows 20000
"""

import argparse
import json
import os
import platform
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from latentfoley.cluster.batch import Batch, Workers, batch

PER_SHARD = 1000


def simulated(**loading: Any) -> Any:
    """Return what looks like a model and makes a tenth of a second of one noise."""
    from types import SimpleNamespace
    from typing import Any

    from latentfoley.errors import ModelError
    from latentfoley.provenance import ModelIdentity

    noise = np.random.default_rng(0).normal(0, 0.1, 1600).astype(np.float32)
    record = SimpleNamespace(to_record=lambda: {"program": "simulated"})

    class Simulated:
        batch_size = 1
        identity = ModelIdentity(
            weights="0", config="0", tokenizer="0", compat="trained", adapter=None,
            dtype="fp32", device="cpu",
        )  # fmt: skip

        @property
        def audio(self) -> None:
            raise ModelError("a simulated model has no audio tower")

        def run(self, request: object) -> Any:
            yield SimpleNamespace(waveform=noise, sample_rate=16_000, provenance=record)

    return Simulated()


class Memory:
    """What this process holds to itself, every second; shared pages of Ray's store are not its."""

    def __init__(self) -> None:
        self.mb: list[float] = []
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        process = psutil.Process()
        while True:
            self.mb.append(process.memory_full_info().uss / 2**20)
            time.sleep(1)


def run(manifest: Path, out: Path) -> tuple[Batch, float, list[float], list[float]]:
    """Return what the batch was, its seconds, and memory and time as rows were done."""
    memory, began = Memory(), time.monotonic()
    at: list[float] = []

    def progress(done: int, total: int) -> None:
        at.append(time.monotonic() - began)

    done = batch(
        manifest,
        out,
        rows_per_shard=PER_SHARD,
        workers=Workers(2),
        loader=simulated,
        progress=progress,
    )
    seconds = time.monotonic() - began
    return done, seconds, memory.mb[int(at[0]) : int(at[-1])] or memory.mb, at


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=20_000)
    n = parser.parse_args().rows
    with tempfile.TemporaryDirectory(prefix="latentfoley-rows-") as folder:
        manifest, out = Path(folder, "manifest.jsonl"), Path(folder, "out")
        with manifest.open("w") as file:
            file.writelines(f'{{"id": "r{k}", "prompt": "rain", "seed": {k}}}\n' for k in range(n))
        first, seconds, memory, at = run(manifest, out)
        again, again_s, _, again_at = run(manifest, out)
    fifth = max(1, len(memory) // 5)
    found = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, shared with other work",
        "rows": n,
        "rows_per_shard": PER_SHARD,
        "workers": 2,
        "made": first.n_made,
        "seconds": round(seconds, 1),
        "seconds_to_first_shard": round(at[0], 1),
        "ms_per_row_and_worker": round(2000 * (at[-1] - at[0]) / (n - PER_SHARD), 3),
        "driver_MB_first_fifth": round(max(memory[:fifth]), 1),
        "driver_MB_last_fifth": round(max(memory[-fifth:]), 1),
        "again": {
            "made": again.n_made,
            "seconds": round(again_s, 1),
            "seconds_to_first_shard": round(again_at[0], 1),
        },
    }
    Path(__file__).with_suffix(".json").write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
