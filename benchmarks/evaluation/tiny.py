"""The embedded model under `latentfoley evaluate`, on recordings kept out of its training.

    python benchmarks/evaluation/tiny.py --data ../shared/data

Three sets are compared with the held-out recordings of ESC-50: real recordings of the training set,
as many as are generated (what a perfect model of the training set could reach: the floor); the
held-out recordings through VAE and vocoder (the ceiling of this model's sound); and clips generated
from prompts that are no training caption. Writes `benchmarks/evaluation/tiny.json`.
"""

import argparse
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tiny"))  # the other benchmarks are scripts
sys.path.insert(0, str(Path(__file__).parent))

from recognise import (
    CLASSIFIER,
    MANIFEST,
    SEED,
    generate_each,
    read_prompts,
    resynthesise,
)

import latentfoley
from latentfoley.audio import read_audio, write_audio
from latentfoley.data.metadata import Entry, read_manifest
from latentfoley.evaluation.evaluate import Evaluation, Settings, evaluate
from latentfoley.evaluation.sets.clips import Clip, ClipSet

HERE = Path(__file__).parent
FOLDERS = ("esc10", "esc50")


def recordings(entries: list[Entry], data: Path, split: str) -> list[Clip]:
    """Return the recordings of ESC-50 of a split, each with its first caption."""
    return [
        Clip(Path(entry.path).with_suffix("").as_posix(), data / entry.path, entry.captions[0])
        for entry in sorted(entries, key=lambda entry: entry.path)
        if entry.split == split and entry.path.partition("/")[0] in FOLDERS
    ]


def drawn(clips: list[Clip], n: int) -> list[Clip]:
    """Return `n` recordings of each class, or all where there are fewer."""
    rng = np.random.default_rng(SEED)
    by_class: dict[str, list[Clip]] = {}
    for clip in clips:
        by_class.setdefault(Path(clip.key).parent.name, []).append(clip)
    chosen = [some[k] for some in by_class.values() for k in sorted(rng.permutation(len(some))[:n])]
    return sorted(chosen, key=lambda clip: clip.key)


def reconstructed(model: latentfoley.Model, clips: list[Clip], folder: Path) -> list[Clip]:
    """Write the recordings as they come out of VAE and vocoder."""
    rate = model.config.mel.sample_rate
    made = []
    for clip in clips:
        path = folder / f"{clip.key}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        waveform = read_audio(clip.path, sample_rate=rate).waveform
        write_audio(path, resynthesise(model, waveform), rate, provenance=None)
        made.append(Clip(clip.key, path, clip.caption))
    return made


def figures(evaluation: Evaluation) -> dict[str, Any]:
    """Return every score with its interval and n, by embedder."""
    return {
        "n": evaluation.n_generated,
        "n_reference": evaluation.n_reference,
        "warnings": list(evaluation.warnings),
        "scores": {
            section.embedder or "levels": {
                score.name: {
                    "value": round(score.value, 6),
                    "interval_95": score.interval and [round(end, 6) for end in score.interval],
                    "n": score.n,
                }
                for score in section.scores
            }
            for section in evaluation.sections
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--clips", type=Path, default=Path("out/evaluate"))
    parser.add_argument("--out", type=Path, default=HERE / "tiny.json")
    arguments = parser.parse_args()

    model = latentfoley.load(arguments.model)
    prompts = read_prompts()
    per_class = max(map(len, prompts.values()))
    entries = read_manifest(MANIFEST)
    seen = recordings(entries, arguments.data, "train")
    held_out = recordings(entries, arguments.data, "valid")
    reference = ClipSet(arguments.data, tuple(held_out))
    settings = Settings(
        embedders=("clap", f"classifier_ears:load={CLASSIFIER}"),
        training=ClipSet(arguments.data, tuple(seen)),
    )
    with tempfile.TemporaryDirectory() as folder:
        sides = {
            "real recordings": ClipSet(arguments.data, tuple(drawn(seen, per_class))),
            "held-out recordings through VAE and vocoder": ClipSet(
                Path(folder), tuple(reconstructed(model, held_out, Path(folder)))
            ),
            "generated from texts": generate_each(model, prompts, arguments.clips),
        }
        of_side = {"real recordings": replace(settings, training=None)}  # copies of themselves
        report: dict[str, Any] = {
            name: figures(evaluate(side, reference, of_side.get(name, settings)))
            for name, side in sides.items()
        }
    report["model_hash"] = model.weights_hash
    report["settings"] = dict(sides["generated from texts"].about)
    arguments.out.write_text(json.dumps(report, indent=2) + "\n")
    for name in sides:
        print(name, json.dumps(report[name]["scores"], indent=1))


if __name__ == "__main__":
    main()
