"""A batch of generations and edits on two nodes: a node and the driver are killed; every row is
there once, equal to a single process to the bit, and the rows made to fail are listed.

    OMP_NUM_THREADS=1 python benchmarks/scale/kills.py --rows 200
"""

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet
import soundfile

import latentfoley
from latentfoley.data.shards import read_shard

STEPS, DURATION_S, FAILING = 2, 0.5, 5


def write_manifest(folder: Path, n_rows: int) -> Path:
    """Write rows of which every third is an edit and five fail."""
    noise = np.random.default_rng(0).normal(0, 0.1, 8000)
    soundfile.write(folder / "noise.wav", noise, 16_000)
    lines = []
    for k in range(n_rows):
        row = {"id": f"row{k}", "prompt": "rain", "steps": STEPS, "seed": k}
        if k % 3 == 2:
            row |= {"edit": "vary", "source": "noise.wav"}
        else:
            row |= {"duration_s": DURATION_S}
        if k % (n_rows // FAILING) == 1:
            row["steps"] = 0
        lines.append(json.dumps(row))
    path = folder / "manifest.jsonl"
    path.write_text("\n".join(lines))
    return path


def start(manifest: Path, out: Path, address: str) -> subprocess.Popen[str]:
    """Start the command on a cluster."""
    words = ["batch", str(manifest), "--out", str(out), "--rows-per-shard", "10"]
    words += ["--workers", "2", "--address", address, "--json"]
    command = [sys.executable, "-m", "latentfoley", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def wait_for_parts(out: Path, n: int, process: subprocess.Popen[str]) -> None:
    """Wait until there are so many parts of the results."""
    while len(list(out.glob("results/*.parquet"))) < n and process.poll() is None:
        time.sleep(0.1)


def alone(manifest: Path) -> dict[str, tuple[str, np.ndarray]]:
    """Return (identity, samples as a file holds them) of every row that one process makes."""
    model, made = latentfoley.load("tiny", device="cpu"), {}
    for line in manifest.read_text().splitlines():
        row = json.loads(line)
        name, kind = row.pop("id"), row.pop("edit", None)
        if row["steps"] == 0:
            continue
        if kind:
            (clip,) = model.edit(kind, manifest.parent / row.pop("source"), **row)
        else:
            (clip,) = model.generate(**row)
        samples = np.rint(clip.waveform * 2.0**15) / 2.0**15
        made[name] = (clip.provenance.identity, samples.astype(np.float32))
    return made


def main() -> None:
    """Run it and write what was found."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=200)
    n_rows, here = parser.parse_args().rows, Path(tempfile.mkdtemp(prefix="latentfoley-kills-"))
    manifest, out = write_manifest(here, n_rows), here / "out"
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "object_store_memory": 100 << 20}
    cluster = Cluster(initialize_head=True, head_node_args=node)
    second = cluster.add_node(**node)
    began = time.monotonic()
    driver = start(manifest, out, cluster.address)
    wait_for_parts(out, n_rows // 10 // 4, driver)
    cluster.remove_node(second, allow_graceful=False)
    node_killed = len(list(out.glob("results/*.parquet")))
    wait_for_parts(out, n_rows // 10 // 2, driver)
    was_running = driver.poll() is None
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    driver_killed = len(list(out.glob("results/*.parquet")))
    cluster.add_node(**node)
    again = start(manifest, out, cluster.address)
    done = json.loads(again.communicate()[0])
    seconds = time.monotonic() - began
    cluster.shutdown()

    rows = pyarrow.parquet.read_table(out / "results").to_pylist()
    shards = [read_shard(path) for path in sorted(out.glob("shard-*.tar"))]
    sounds = {clip.key: samples for shard in shards for clip, samples in shard}
    expected, equal = alone(manifest), 0
    for row in rows:
        if not row["reason"]:
            identity, samples = expected[row["id"]]
            key = row["file"].partition(":")[2].removesuffix(".flac")
            equal += row["identity"] == identity and np.array_equal(sounds[key], samples)
    found = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, two nodes of Ray on it",
        "rows": n_rows,
        "parts_when_node_was_killed": node_killed,
        "driver_was_running_when_killed": was_running,
        "parts_when_driver_was_killed": driver_killed,
        "second_run": {name: done[name] for name in ("n_made", "n_failed")},
        "rows_in_results": len(rows),
        "ids_there_more_than_once": sum(n > 1 for n in Counter(r["id"] for r in rows).values()),
        "sounds": len(sounds),
        "equal_to_one_process_to_the_bit": equal,
        "failed": {row["id"]: row["reason"] for row in rows if row["reason"]},
        "seconds": round(seconds, 1),
    }
    Path(__file__).with_suffix(".json").write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
