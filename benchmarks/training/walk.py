"""A folder of recordings without captions, walked as a user would: does the model learn it?

    python benchmarks/training/walk.py water
    python benchmarks/training/walk.py drums

Sixty recordings of one theme are copied to a folder, without a word beside them. The commands of
docs/training.md follow: scan, prepare, encode, train on from `tiny`, export. Then `tiny` and the
new model are asked for the same texts with the same seeds, and both are compared with the
recordings that `prepare` held out. Writes the theme's part of `benchmarks/training/walk.json`:
distances with their intervals, the output of every command, and the seconds of CPU it took.
"""

import argparse
import csv
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import latentfoley
from latentfoley.audio import fit_length, normalise_peak
from latentfoley.data.latents import LatentCache
from latentfoley.data.metadata import read_manifest
from latentfoley.data.shards import read_shard
from latentfoley.evaluation.metrics.frechet import frechet_distance
from latentfoley.mel import log_mel

HERE = Path(__file__).parent
OTHERS = ("a dog barking", "a baby crying")  # what neither folder is about
N_RECORDINGS, N_EACH, SEED = 60, 5, 2026
RESAMPLES = 500
SILENT = -9.0  # nats, of a frame's mean log-mel; digital silence is -11.5
Rows = np.ndarray


@dataclass(frozen=True)
class Theme:
    """What a folder is about: where its recordings are, what to ask for, and how it is encoded.

    Attributes:
        data_set, column, kinds: a folder of the shared data, and which rows of its table.
        texts: what is asked for.
        duration_s: of what is trained on and generated.
        variations: as in `data encode`.
    """

    data_set: str
    column: str
    kinds: tuple[str, ...]
    texts: tuple[str, ...]
    duration_s: float
    variations: int


THEMES = {
    "water": Theme(
        "esc10",
        "class",
        ("rain", "sea_waves"),
        ("heavy rain", "rain on a window", "waves on a beach", "the sea"),
        duration_s=4.8,
        variations=2,
    ),
    "drums": Theme(
        "sonicpi",
        "name",
        ("bd", "sn", "hat", "drum"),
        ("a kick drum", "a snare drum", "a hi-hat", "a cymbal"),
        duration_s=1.28,
        variations=1,
    ),
}


def copy_recordings(data: Path, theme: Theme, folder: Path) -> list[str]:
    """Copy the recordings of the theme under names that say nothing; return where they are from."""
    with (data / theme.data_set / "metadata.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    kind = {row["path"]: row[theme.column] for row in rows}
    if theme.column == "name":  # of Sonic Pi, whose names begin with the kind
        kind = {path: name.partition("_")[0] for path, name in kind.items()}
    paths = [path for path, its in kind.items() if its in theme.kinds]
    folder.mkdir(parents=True, exist_ok=True)
    chosen = [paths[i] for i in np.linspace(0, len(paths) - 1, N_RECORDINGS).round().astype(int)]
    for number, path in enumerate(chosen, start=1):
        source = data / theme.data_set / path
        (folder / f"{number:02d}{source.suffix}").write_bytes(source.read_bytes())
    return [f"{theme.data_set}/{path}" for path in chosen]


def say(place: Path, *words: str) -> dict[str, Any]:
    """Run one command in the working folder; return it with its output and its seconds of CPU."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    end = subprocess.run(
        [sys.executable, "-m", "latentfoley", *words], cwd=place, capture_output=True, text=True
    )
    if end.returncode != 0:
        raise SystemExit(f"{' '.join(words)}\n{end.stderr}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    out = [line.rstrip() for line in end.stdout.splitlines()]
    print("$ latentfoley", *words)
    print(*out, sep="\n", flush=True)
    return {
        "command": " ".join(["latentfoley", *words]),
        "output": out,
        "cpu_seconds": round(seconds, 1),
    }


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
            X = self._log_mel(x)
            rows.append(torch.cat([X.mean(dim=0), X.std(dim=0)]).numpy())
        return np.stack(rows)

    def silence(self, waveforms: list[np.ndarray]) -> float:
        """Return the share of silent frames."""
        frames = torch.cat([self._log_mel(x).mean(dim=1) for x in waveforms])
        return round(float((frames < SILENT).float().mean()), 3)

    def _log_mel(self, x: np.ndarray) -> torch.Tensor:
        level = np.sqrt(np.mean(x**2)) + 1e-9
        X: torch.Tensor = log_mel(torch.from_numpy(0.05 * x / level)[None], self.model.config.mel)
        return X[0, 0]  # (T, F)


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


def held_out(prepared: Path, n_samples: int) -> list[np.ndarray]:
    """Return the recordings that were not trained on, cut or filled up as `data encode` does."""
    pairs = (pair for shard in sorted(prepared.glob("*.tar")) for pair in read_shard(shard))
    return [
        fit_length(normalise_peak(waveform[:n_samples]), n_samples)
        for clip, waveform in pairs
        if clip.split == "valid"
    ]


def seen_by_tiny(manifest: Path, copied: list[str]) -> int:
    """Return how many of the recordings the embedded model was trained on."""
    entries = {entry.path: entry for entry in read_manifest(manifest)}
    return sum(entries[path].split == "train" for path in copied)


def walk(work: Path, theme: Theme) -> list[dict[str, Any]]:
    """Run the commands of docs/training.md."""
    windows = f"--duration {theme.duration_s} --variations {theme.variations}"
    commands = (
        "data scan my-recordings",
        "data prepare my-recordings prepared --held-out 0.25 --workers 1",
        f"data encode prepared latents {windows} --device cpu",
        "train diffusion my-recordings --device cpu",
        "train export runs/my-recordings my-model",
    )
    return [say(work, *command.split()) for command in commands]


def generate(model: latentfoley.Model, texts: tuple[str, ...], theme: Theme) -> list[np.ndarray]:
    """Return what a model makes of the texts, the same seeds for every model."""
    clips = model.generate(texts, n=N_EACH, seed=SEED, duration_s=theme.duration_s)
    return [clip.waveform for clip in clips]


def by_text(ears: Ears, clips: list[np.ndarray], texts: tuple[str, ...]) -> dict[str, float]:
    """Return the mean cosine of each text with the clips that were asked for by it, by CLAP."""
    T = ears.model.text.embed(list(texts)).numpy()
    E = ears.clap(clips).reshape(len(texts), N_EACH, -1)
    cosines = np.einsum("td,tnd->tn", T, E).mean(axis=1)
    return {text: round(float(cosine), 3) for text, cosine in zip(texts, cosines, strict=True)}


def measure(work: Path, theme: Theme) -> dict[str, Any]:
    """Return how far `tiny` and the new model are from the recordings that were held out."""
    tiny, mine = latentfoley.load("tiny"), latentfoley.load(work / "my-model")
    ears = Ears(tiny)
    reference = held_out(work / "prepared", round(theme.duration_s * 16_000))
    before, after = (generate(model, theme.texts, theme) for model in (tiny, mine))
    middle = ears.clap(reference).mean(axis=0)
    report: dict[str, Any] = {
        "windows trained on": len(LatentCache(work / "latents", "train")),
        "held out": len(reference),
        "clips": len(before),
        "model_hash": tiny.weights_hash,
        "silent frames": {
            "before": ears.silence(before),
            "after": ears.silence(after),
            "held out": ears.silence(reference),
        },
        "clap from the mean by text": {
            text: [
                round(float(np.linalg.norm(E - middle, axis=1).mean()), 3)
                for E in (
                    ears.clap(clips[k * N_EACH : (k + 1) * N_EACH]) for clips in (before, after)
                )
            ]
            for k, text in enumerate(theme.texts)
        },
        "cosine with other texts": {
            "before": by_text(ears, generate(tiny, OTHERS, theme), OTHERS),
            "after": by_text(ears, generate(mine, OTHERS, theme), OTHERS),
        },
    }
    for name, hear in (("clap", ears.clap), ("log-mel statistics", ears.mel)):
        real = hear(reference)
        report[name] = compare(hear(before), hear(after), real)
        report[name]["between held-out recordings"] = round(distances(real, real)["to_the_mean"], 4)
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("theme", choices=THEMES)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--manifest", type=Path, default=Path("runs/tiny/first.jsonl"))
    parser.add_argument("--work", type=Path, default=Path("build/walk"))
    parser.add_argument("--out", type=Path, default=HERE / "walk.json")
    arguments = parser.parse_args()
    theme, work = THEMES[arguments.theme], arguments.work / arguments.theme
    shutil.rmtree(work, ignore_errors=True)
    copied = copy_recordings(arguments.data, theme, work / "my-recordings")
    commands = walk(work, theme)
    report = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}",
        "threads": torch.get_num_threads(),
        "recordings": len(copied),
        "kinds": theme.kinds,
        "texts": theme.texts,
        "trained on by tiny": seen_by_tiny(arguments.manifest, copied),
        **measure(work, theme),
        "commands": commands,
    }
    known = json.loads(arguments.out.read_text()) if arguments.out.is_file() else {}
    known[arguments.theme] = report
    arguments.out.write_text(json.dumps(known, indent=2, ensure_ascii=False) + "\n")
    print(json.dumps({k: v for k, v in report.items() if k != "commands"}, indent=2))


if __name__ == "__main__":
    main()
