"""Can you tell what it is? An independent classifier names clips of the embedded model.

    python benchmarks/tiny/recognise.py --classifier build/classifier.safetensors

Twenty clips for each ESC-10 class from prompts that are no training caption (`prompts.toml`, two
clips each), and twenty guided by recordings that were kept out of training. Beside them stand those
recordings themselves, and their passage through the VAE and the vocoder. Writes
`benchmarks/tiny/recognition.json` and two pages of pictures for the docs.
"""

import argparse
import json
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))  # the classifier is a script beside this folder

import latentfoley
from classifier import CLASSES, classify, load_classifier, wilson_interval
from latentfoley.data.recordings import load_clips
from latentfoley.mel import log_mel
from latentfoley.pictures import plot_clips

HERE = Path(__file__).parent
SEED = 2026
Waveforms = dict[str, list[np.ndarray]]


def from_texts(model: latentfoley.Model, count: int, options: dict[str, Any]) -> Waveforms:
    """Generate each class's clips from its prompts."""
    prompts = tomllib.loads((HERE / "prompts.toml").read_text(encoding="utf-8"))
    waveforms = {}
    for label in CLASSES:
        n = count // len(prompts[label])
        clips = model.generate(prompts[label], n=n, seed=SEED, **options)
        waveforms[label] = [clip.waveform for clip in clips]
        print(label, "from texts", len(clips))
    return waveforms


def from_recordings(
    model: latentfoley.Model, recordings: dict[str, list[Path]], count: int, options: dict[str, Any]
) -> Waveforms:
    """Generate each class's clips guided by its held-out recordings, in turn."""
    waveforms: Waveforms = {label: [] for label in CLASSES}
    for label in CLASSES:
        shares = np.linspace(0, count, len(recordings[label]) + 1).round().astype(int)
        for path, n in zip(recordings[label], np.diff(shares).tolist(), strict=True):
            made = model.generate(audio_prompt=path, n=n, seed=SEED, **options) if n else []
            waveforms[label] += [one.waveform for one in made]
        print(label, "from recordings", len(waveforms[label]))
    return waveforms


@torch.no_grad()
def resynthesise(model: latentfoley.Model, waveform: np.ndarray) -> np.ndarray:
    """Pass a recording through the VAE and the vocoder: the best that generation could do."""
    r = model.config.vae.compression
    X = log_mel(torch.from_numpy(waveform)[None], model.config.mel)
    X = X[:, :, : X.shape[2] // r * r]
    made: np.ndarray = model.vocode(model.vae.decode(model.vae.encode(X)))[0].numpy()
    return made


def score(judge: Callable[[list[np.ndarray]], list[str]], waveforms: Waveforms) -> dict[str, Any]:
    """Return right answers in all and per class, and what was said instead."""
    per_class, confusions, hits, count = {}, {}, 0, 0
    for label in CLASSES:
        names = judge(waveforms[label])
        right = sum(name == label for name in names)
        per_class[label] = round(right / len(names), 3)
        wrong = [name for name in names if name != label]
        confusions[label] = {name: wrong.count(name) for name in sorted(set(wrong))}
        hits, count = hits + right, count + len(names)
    low, high = wilson_interval(hits, count)
    return {
        "accuracy": round(hits / count, 4),
        "interval_95": [round(low, 4), round(high, 4)],
        "n": count,
        "per_class": per_class,
        "mistaken_for": confusions,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--classifier", type=Path, default=Path("build/classifier.safetensors"))
    parser.add_argument("--manifest", type=Path, default=Path("runs/tiny/manifest.jsonl"))
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=HERE / "recognition.json")
    parser.add_argument("--pictures", type=Path, default=Path("docs/pictures"))
    parser.add_argument("--guidance", type=float)
    parser.add_argument("--clips", type=int, default=20, help="per class, from texts")
    parser.add_argument("--guided", type=int, default=20, help="per class, from recordings")
    arguments = parser.parse_args()
    options = {"guidance": arguments.guidance} if arguments.guidance is not None else {}

    model = latentfoley.load(arguments.model)
    clips = load_clips(arguments.manifest, arguments.data, "valid", model.config.mel.sample_rate)
    held_out = {label: [clip for clip in clips if label in clip.labels] for label in CLASSES}
    real = {label: [clip.waveform for clip in held_out[label]] for label in CLASSES}
    paths = {label: [arguments.data / clip.path for clip in held_out[label]] for label in CLASSES}
    ensemble = load_classifier(arguments.classifier)
    sets = {
        "held-out recordings": real,
        "the same through VAE and vocoder": {
            label: [resynthesise(model, waveform) for waveform in real[label]] for label in CLASSES
        },
        "from texts": from_texts(model, arguments.clips, options),
        "from held-out recordings": from_recordings(model, paths, arguments.guided, options),
    }
    report = {
        name: score(lambda some: classify(ensemble, some)[0], waveforms)
        for name, waveforms in sets.items()
    }
    report["model_hash"] = model.weights_hash
    arguments.out.write_text(json.dumps(report, indent=2) + "\n")
    for name in sets:
        print(f"{name:36} {report[name]['accuracy']:.3f} {report[name]['interval_95']}")
        print("   ", report[name]["per_class"])
    for page, labels in enumerate((CLASSES[:5], CLASSES[5:]), start=1):
        draw(arguments.pictures / f"real-and-generated-{page}.png", sets, labels, model)


def draw(
    path: Path, sets: dict[str, Waveforms], labels: tuple[str, ...], model: latentfoley.Model
) -> None:
    """Write a page: per class two held-out recordings beside two clips generated from texts."""
    waveforms, titles = [], []
    for label in labels:
        waveforms += [*sets["held-out recordings"][label][:2], *sets["from texts"][label][:3:2]]
        titles += [f"{label}, real"] * 2 + [f"{label}, generated"] * 2
    plot_clips(path, waveforms, titles, model.config.mel, columns=4)


if __name__ == "__main__":
    main()
