"""All recordings prepared and encoded with and without Ray: `python benchmarks/scale/all_data.py`.

Each side runs `latentfoley data prepare` and `data encode` in a folder of its own; then every shard
and every file of windows is compared by its SHA-256. Writes benchmarks/scale/all_data.json.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from hashlib import file_digest
from pathlib import Path
from tempfile import TemporaryDirectory

SIDES = {"plain": [], "ray": ["--ray"]}


def run(*words: str | Path) -> float:
    """Run a command of this installation and return its seconds."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "latentfoley", *map(str, words)], check=True)
    return round(time.perf_counter() - began, 1)


def hashes(folder: Path, pattern: str) -> dict[str, str]:
    """Return the SHA-256 of every file by its name."""
    found = {}
    for path in sorted(folder.glob(pattern)):
        with path.open("rb") as file:
            found[path.name] = file_digest(file, "sha256").hexdigest()
    return found


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--work", type=Path, help="where folders are made and removed")
    options = parser.parse_args()
    seconds: dict[str, dict[str, float]] = {}
    made: dict[str, tuple[dict[str, str], dict[str, str]]] = {}
    with TemporaryDirectory(dir=options.work) as place:
        for side, more in SIDES.items():
            shards, latents = Path(place, side, "prepared"), Path(place, side, "latents")
            seconds[side] = {
                "prepare": run("data", "prepare", options.data.resolve(), shards, *more),
                "encode": run("data", "encode", shards, latents, "--workers", "2", *more),
            }
            made[side] = hashes(shards, "shard-*.tar"), hashes(latents, "latents-*.safetensors")
        dataset = json.loads(Path(place, "ray", "prepared", "dataset.json").read_text())
        cache = json.loads(Path(place, "ray", "latents", "cache.json").read_text())
    result = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "clips": dataset["n_clips"],
        "skipped": dataset["n_skipped"],
        "windows": cache["n_windows"],
        "shards": len(made["ray"][0]),
        "files of windows": len(made["ray"][1]),
        "shards that differ": differing(made["plain"][0], made["ray"][0]),
        "files of windows that differ": differing(made["plain"][1], made["ray"][1]),
        "seconds": seconds,
    }
    Path(__file__).with_suffix(".json").write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


def differing(one: dict[str, str], other: dict[str, str]) -> int:
    """Return how many names are in one alone or have another hash."""
    return sum(one.get(name) != other.get(name) for name in one | other)


if __name__ == "__main__":
    main()
