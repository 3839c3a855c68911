"""A folder of recordings without captions, walked as a user would: does the model learn it?

    python benchmarks/training/walk.py

Sixty recordings of one theme are copied to a folder, without a word beside them. The commands of
docs/training.md follow: scan, prepare, encode, train on from `tiny`, export. Then `tiny` and the
new model are asked for the same texts with the same seeds, and both are compared with the
recordings that `prepare` held out. Writes `benchmarks/training/walk.json`: distances with their
intervals, the output of every command, and how long it took.
"""

import argparse
import csv
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

import latentfoley
from latentfoley.data.latents import LatentCache
from latentfoley.data.manifest import read_manifest
from latentfoley.data.shards import find_shards, read_shard
from latentfoley.evaluation.frechet import frechet_distance
from latentfoley.mel import log_mel

HERE = Path(__file__).parent
RECIPES = HERE.parents[1] / "recipes"
CLASSES = ("rain", "sea_waves")
TEXTS = ("heavy rain", "rain on a window", "waves on a beach", "the sea")
N_RECORDINGS, N_EACH, SEED = 60, 5, 2026
RESAMPLES = 500
Rows = np.ndarray


def copy_recordings(data: Path, folder: Path) -> list[str]:
    """Copy the recordings of the theme under names that say nothing; return where they are from."""
    with (data / "esc10" / "metadata.csv").open(encoding="utf-8", newline="") as file:
        paths = [row["path"] for row in csv.DictReader(file) if row["class"] in CLASSES]
    folder.mkdir(parents=True, exist_ok=True)
    chosen = [paths[i] for i in np.linspace(0, len(paths) - 1, N_RECORDINGS).round().astype(int)]
    for number, path in enumerate(chosen, start=1):
        source = data / "esc10" / path
        (folder / f"{number:02d}{source.suffix}").write_bytes(source.read_bytes())
    return chosen


def say(place: Path, *words: str) -> dict[str, Any]:
    """Run one command in the working folder; return it with its output and its seconds."""
    start = time.perf_counter()
    end = subprocess.run(
        [sys.executable, "-m", "latentfoley", *words], cwd=place, capture_output=True, text=True
    )
    if end.returncode != 0:
        raise SystemExit(f"{' '.join(words)}\n{end.stderr}")
    out = [line.rstrip() for line in end.stdout.splitlines()]
    print("$ latentfoley", *words)
    print(*out, sep="\n", flush=True)
    seconds = round(time.perf_counter() - start, 1)
    return {"command": " ".join(["latentfoley", *words]), "output": out, "seconds": seconds}


class Ears:
    """Two ways to hear: CLAP as the models do, and a picture of the sound that nobody trained."""

    def __init__(self, model: latentfoley.Model) -> None:
        self.model = model

    def clap(self, waveforms: list[np.ndarray]) -> Rows:
        """Return E of each sound."""
        return np.stack([self.model.audio.embed(x, 16_000).numpy() for x in waveforms])

    def mel(self, waveforms: list[np.ndarray]) -> Rows:
        """Return mean and deviation of every log-mel band over time, at one level for all."""
        rows = []
        for x in waveforms:
            level = np.sqrt(np.mean(x**2)) + 1e-9
            X = log_mel(torch.from_numpy(0.05 * x / level)[None], self.model.config.mel)[0, 0]
            rows.append(torch.cat([X.mean(dim=0), X.std(dim=0)]).numpy())
        return np.stack(rows)


def distances(generated: Rows, reference: Rows) -> dict[str, float]:
    """Return the Fréchet distance, and the mean distance of a clip from the reference's mean."""
    near = np.linalg.norm(generated - reference.mean(axis=0), axis=1)
    return {
        "frechet": frechet_distance(generated, reference),
        "to_the_mean": float(near.mean()),
    }


def compare(before: Rows, after: Rows, reference: Rows) -> dict[str, Any]:
    """Return both distances and their difference, with the 95 % interval of resampling clips.

    The same clips (prompt and seed) are drawn of both models, and the reference is drawn too.
    """
    rng = np.random.default_rng(SEED)
    draws: dict[str, list[float]] = {"frechet": [], "to_the_mean": []}
    for _ in range(RESAMPLES):
        i = rng.integers(0, len(before), len(before))
        j = rng.integers(0, len(reference), len(reference))
        one, other = (distances(rows[i], reference[j]) for rows in (before, after))
        for name in draws:
            draws[name].append(other[name] - one[name])
    report = {}
    one, other = distances(before, reference), distances(after, reference)
    for name, differences in draws.items():
        low, high = np.quantile(differences, [0.025, 0.975])
        report[name] = {
            "before": round(one[name], 4),
            "after": round(other[name], 4),
            "difference": round(other[name] - one[name], 4),
            "interval_95": [round(float(low), 4), round(float(high), 4)],
        }
    return report


def held_out(prepared: Path) -> list[np.ndarray]:
    """Return the recordings that were not trained on."""
    pairs = (pair for shard in find_shards(prepared) for pair in read_shard(shard))
    return [waveform for clip, waveform in pairs if clip.split == "valid"]


def seen_by_tiny(manifest: Path, copied: list[str]) -> int:
    """Return how many of the recordings the embedded model was trained on."""
    entries = {entry.path: entry for entry in read_manifest(manifest)}
    return sum(entries[f"esc10/{path}"].split == "train" for path in copied)


def generate(model: latentfoley.Model) -> list[np.ndarray]:
    """Return what a model makes of the texts, the same seeds for every model."""
    return [clip.waveform for clip in model.generate(TEXTS, n=N_EACH, seed=SEED)]


def walk(work: Path) -> list[dict[str, Any]]:
    """Run the commands of docs/training.md."""
    shutil.copytree(RECIPES, work / "recipes", dirs_exist_ok=True)
    commands = (
        "data scan my-recordings",
        "data prepare my-recordings prepared --held-out 0.25 --workers 1",
        "data encode prepared latents --duration 4.8 --variations 2 --device cpu",
        "train diffusion recipes/my-recordings.toml --device cpu",
        "train export runs/my-recordings my-model",
    )
    return [say(work, *command.split()) for command in commands]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--manifest", type=Path, default=Path("runs/tiny/manifest.jsonl"))
    parser.add_argument("--work", type=Path, default=Path("build/walk"))
    parser.add_argument("--out", type=Path, default=HERE / "walk.json")
    arguments = parser.parse_args()
    work = arguments.work
    copied = copy_recordings(arguments.data, work / "my-recordings")
    commands = walk(work)
    tiny, mine = latentfoley.load("tiny"), latentfoley.load(work / "my-model")
    ears, reference = Ears(tiny), held_out(work / "prepared")
    before, after = generate(tiny), generate(mine)
    report: dict[str, Any] = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}",
        "threads": torch.get_num_threads(),
        "load_average": os.getloadavg()[1],
        "recordings": len(copied),
        "classes": CLASSES,
        "trained on by tiny": seen_by_tiny(arguments.manifest, copied),
        "windows trained on": len(LatentCache(work / "latents", "train")),
        "held out": len(reference),
        "texts": TEXTS,
        "clips": len(before),
        "model_hash": tiny.weights_hash,
    }
    for name, hear in (("clap", ears.clap), ("log-mel statistics", ears.mel)):
        real = hear(reference)
        report[name] = compare(hear(before), hear(after), real)
        report[name]["between held-out recordings"] = round(distances(real, real)["to_the_mean"], 4)
    report["commands"] = commands
    arguments.out.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n")
    print(json.dumps({k: v for k, v in report.items() if k != "commands"}, indent=2))


if __name__ == "__main__":
    main()
