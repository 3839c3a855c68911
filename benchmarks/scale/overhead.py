"""What Ray costs: rows a second of `batch` on two workers of one core, beside two plain processes.

    python benchmarks/scale/overhead.py

The plain processes do the same work, shards and results included, each on every second chunk, and
know nothing of Ray. The sides run in turns. Rates are taken with the start (imports, models, and
Ray's own) and without it, from the first chunk to the last. Writes benchmarks/scale/overhead.json.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from latentfoley.cluster.batch import Workers, batch
from latentfoley.cluster.chunk import BatchSettings, Chunk, make_chunk
from latentfoley.cluster.manifest import read_manifest
from latentfoley.loading import load

PER_SHARD, WORKERS = 10, 2
ROW = {"prompt": "a dog barking", "duration_s": 2.0, "steps": 10}
SETTINGS = BatchSettings(loading={"model": "tiny"}, loose=False, rows_per_shard=PER_SHARD)


def chunks(manifest: Path) -> Iterator[Chunk]:
    """Yield the chunks of a manifest."""
    rows = read_manifest(manifest)
    index = 0
    while some := tuple(islice(rows, PER_SHARD)):
        yield Chunk(index, some)
        index += 1


def plainly(manifest: Path, out: Path, share: int) -> None:
    """Do every second chunk in this process, and say when each was done."""
    import torch

    torch.set_num_threads(1)
    model = load("tiny", device="cpu")
    for chunk in islice(chunks(manifest), share, None, WORKERS):
        make_chunk(model, chunk, manifest.parent, str(out), SETTINGS)
        print(time.time(), flush=True)


def by_processes(manifest: Path, out: Path) -> list[float]:
    """Return when each chunk was done by plain processes."""
    out.mkdir()
    command = [sys.executable, __file__, "--manifest", str(manifest), "--out", str(out)]
    running = [
        subprocess.Popen([*command, "--share", str(k)], stdout=subprocess.PIPE, text=True)
        for k in range(WORKERS)
    ]
    said = [process.communicate()[0] for process in running]
    assert all(process.returncode == 0 for process in running)
    return sorted(float(line) for text in said for line in text.split())


def by_ray(manifest: Path, out: Path) -> list[float]:
    """Return when each chunk was done by `batch`."""
    at: list[float] = []
    batch(
        manifest,
        out,
        rows_per_shard=PER_SHARD,
        workers=Workers(WORKERS),
        model="tiny",
        progress=lambda done, total: at.append(time.time()),
    )
    return at


def rates(side: object, manifest: Path, out: Path, n_rows: int) -> tuple[float, float]:
    """Return rows a second with and without the start."""
    began = time.time()
    at = side(manifest, out)  # type: ignore[operator]
    return n_rows / (at[-1] - began), (n_rows - PER_SHARD) / (at[-1] - at[0])


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=300)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--manifest", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--share", type=int)
    options = parser.parse_args()
    if options.share is not None:
        plainly(options.manifest, options.out, options.share)
        return
    found: dict[str, list[tuple[float, float]]] = {"processes": [], "batch": []}
    with TemporaryDirectory(prefix="latentfoley-overhead-") as folder:
        manifest = Path(folder, "manifest.jsonl")
        rows = (json.dumps(ROW | {"seed": k}) for k in range(options.rows))
        manifest.write_text("\n".join(rows) + "\n")
        for turn in range(options.turns):
            for name, side in (("processes", by_processes), ("batch", by_ray)):
                out = Path(folder, f"{name}-{turn}")
                found[name].append(rates(side, manifest, out, options.rows))
                print(name, found[name][-1], flush=True)
    medians = {
        name: [round(statistics.median(column), 3) for column in zip(*values, strict=True)]
        for name, values in found.items()
    }
    kinds = ("with the start", "without it")
    result = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "load_before": round(os.getloadavg()[0], 1),
        "rows": options.rows,
        "turns": options.turns,
        "rows_per_second": {
            name: dict(zip(kinds, values, strict=True)) for name, values in medians.items()
        },
        "ratio": {
            kind: round(medians["batch"][k] / medians["processes"][k], 3)
            for k, kind in enumerate(kinds)
        },
    }
    Path(__file__).with_suffix(".json").write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
