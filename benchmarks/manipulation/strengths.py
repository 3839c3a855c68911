"""How deep should a transfer go? Measured on recordings that the model was trained on.

    python benchmarks/manipulation/strengths.py

Two transfers from each ESC-10 class with training captions for prompts, at several depths, with
noise at random and with the recording's own: how often the classifier hears the target, and how
much of the recording's course stays. Defaults are chosen here, so that the suite, which measures
them, was not used to tune them. Writes `benchmarks/manipulation/strengths.json`.
"""

import argparse
import json
import tomllib
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from judges import CLASSES, ROOT, Judges
from measures import envelope_likeness
from workers import each

from latentfoley.audio import read_audio
from latentfoley.data.metadata import read_manifest
from latentfoley.evaluation.metrics.score import mean_score

HERE = Path(__file__).parent
STRENGTHS = (0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
OFFSETS = (2, 4)  # from a class to its targets, in the ring of classes
LIMITS = {"target": (0.0, 1.0), "envelope": (-1.0, 1.0)}
SEED = 11


def pairs(manifest: Path) -> list[tuple[str, str, str]]:
    """Return (recording, target, prompt) of every transfer."""
    captions = tomllib.loads((ROOT / "recipes/tiny/captions.toml").read_text())["esc10"]
    trained = [entry for entry in read_manifest(manifest) if entry.split == "train"]
    chosen = []
    for k, label in enumerate(CLASSES):
        own = [entry.path for entry in trained if label in entry.labels]
        for j, offset in enumerate(OFFSETS):
            target = CLASSES[(k + offset) % len(CLASSES)]
            chosen.append((own[j * len(own) // 2], target, captions[target][j]))
    return chosen


def transfer(
    judges: Judges, job: tuple[tuple[str, str, str], dict[str, Any]], *, data: Path
) -> tuple[float, float]:
    """Return whether a transfer is its target, and how much of the envelope it kept."""
    (path, target, prompt), options = job
    (clip,) = judges.model.edit("transfer", data / path, prompt, seed=SEED, **options)
    source = read_audio(data / path, sample_rate=clip.sample_rate).waveform
    return float(judges.is_target(clip.waveform, target)), envelope_likeness(clip.waveform, source)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--classifier", type=Path, default=Path("build/classifier.safetensors"))
    parser.add_argument("--manifest", type=Path, default=Path("runs/tiny/first.jsonl"))
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=HERE / "strengths.json")
    arguments = parser.parse_args()
    settings = [
        {"strength": strength, "invert": invert}
        for invert in (False, True)
        for strength in STRENGTHS
    ]
    jobs = [(pair, options) for options in settings for pair in pairs(arguments.manifest)]
    found: dict[str, list[tuple[float, float]]] = {str(options): [] for options in settings}
    work = partial(transfer, data=arguments.data)
    places = (arguments.model, arguments.classifier, arguments.workers)
    for (_, options), values in each(work, jobs, *places):
        found[str(options)].append(values)
    report = [options | summary(found[str(options)]) for options in settings]
    arguments.out.write_text(json.dumps(report, indent=2) + "\n")
    for row in report:
        print(row)


def summary(values: list[tuple[float, float]]) -> dict[str, object]:
    """Return both means with their intervals."""
    rows: dict[str, object] = {"n": len(values)}
    for name, column in zip(("target", "envelope"), np.array(values).T, strict=True):
        score = mean_score(name, column, better="higher", caveat="training recordings")
        rows[name] = round(score.value, 3)
        low, high = LIMITS[name]
        rows[f"{name}_95"] = [round(min(max(end, low), high), 3) for end in score.interval or ()]
    return rows


if __name__ == "__main__":
    main()
