"""Can you tell what it is? An independent classifier names clips of the embedded model.

    python benchmarks/tiny/recognise.py ten
    python benchmarks/tiny/recognise.py fifty

Clips of each class from ten prompts that are no training caption (`prompts*.toml`), and guided by
recordings that were kept out of training. Beside them stand those recordings themselves, and their
passage through the VAE and the vocoder; and per class, how loud and how silent recordings and the
clips from texts are. `ten` is ESC-10, with two clips a prompt and two pages of
pictures for the docs; `fifty` is ESC-50 with one. Writes `benchmarks/tiny/recognition.json` or
`recognition-fifty.json`.
"""

import argparse
import json
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))  # the classifier is a script beside this folder

import latentfoley
from classifier import classify, load_classifier, wilson_interval
from latentfoley.data.recordings import load_clips
from latentfoley.levels import measure
from latentfoley.mel import log_mel
from latentfoley.pictures import plot_clips

HERE = Path(__file__).parent
SEED = 2026
Waveforms = dict[str, list[np.ndarray]]


class Classes(NamedTuple):
    """What is measured: prompts, the judge, and clips of each class from texts and recordings."""

    prompts: tuple[str, ...]
    classifier: Path
    manifest: Path
    report: str
    n_per_prompt: int
    n_guided: int


CLASSES = {
    "ten": Classes(
        ("prompts",),
        Path("build/classifier.safetensors"),
        Path("runs/tiny/manifest.jsonl"),
        "recognition.json",
        2,
        20,
    ),
    "fifty": Classes(
        ("prompts", "prompts-esc50"),
        Path("build/classifier-fifty.safetensors"),
        Path("runs/fifty/manifest.jsonl"),
        "recognition-fifty.json",
        1,
        4,
    ),
}


def read_prompts(names: tuple[str, ...]) -> dict[str, list[str]]:
    """Return the prompts of each class, of all the files together."""
    prompts: dict[str, list[str]] = {}
    for name in names:
        prompts |= tomllib.loads((HERE / f"{name}.toml").read_text(encoding="utf-8"))
    return dict(sorted(prompts.items()))


def from_texts(
    model: latentfoley.Model, prompts: dict[str, list[str]], n: int, options: dict[str, Any]
) -> Waveforms:
    """Generate `n` clips of each prompt of each class."""
    waveforms = {}
    for label in prompts:
        clips = model.generate(prompts[label], n=n, seed=SEED, **options)
        waveforms[label] = [clip.waveform for clip in clips]
        print(label, "from texts", len(clips))
    return waveforms


def from_recordings(
    model: latentfoley.Model, recordings: dict[str, list[Path]], count: int, options: dict[str, Any]
) -> Waveforms:
    """Generate each class's clips guided by its held-out recordings, in turn."""
    waveforms: Waveforms = {label: [] for label in recordings}
    for label in recordings:
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
    for label in waveforms:
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


def levels(waveforms: list[np.ndarray], sample_rate: int) -> dict[str, float]:
    """Return the median loudness of sounds in LUFS, and the share of their frames in silence."""
    found = [measure(waveform, sample_rate) for waveform in waveforms]
    return {
        "loudness_lufs": round(float(np.median([one.loudness_lufs for one in found])), 1),
        "silent_frames": round(float(np.mean([one.silent_frames for one in found])), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("classes", choices=CLASSES)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--pictures", type=Path, default=Path("docs/pictures"))
    parser.add_argument("--guidance", type=float)
    arguments = parser.parse_args()
    options = {"guidance": arguments.guidance} if arguments.guidance is not None else {}
    measured = CLASSES[arguments.classes]

    model = latentfoley.load(arguments.model)
    rate = model.config.mel.sample_rate
    clips = load_clips(measured.manifest, arguments.data, "valid", rate)
    trained = load_clips(measured.manifest, arguments.data, "train", rate)
    prompts = read_prompts(measured.prompts)
    held_out = {label: [clip for clip in clips if label in clip.labels] for label in prompts}
    real = {label: [clip.waveform for clip in held_out[label]] for label in prompts}
    paths = {label: [arguments.data / clip.path for clip in held_out[label]] for label in prompts}
    ensemble = load_classifier(measured.classifier)
    sets = {
        "held-out recordings": real,
        "the same through VAE and vocoder": {
            label: [resynthesise(model, waveform) for waveform in real[label]] for label in prompts
        },
        "from texts": from_texts(model, prompts, measured.n_per_prompt, options),
        "from held-out recordings": from_recordings(model, paths, measured.n_guided, options),
    }
    report = {
        name: score(lambda some: classify(ensemble, some)[0], waveforms)
        for name, waveforms in sets.items()
    }
    report["levels"] = {
        label: {
            "recordings": levels([c.waveform for c in trained if label in c.labels], rate),
            "from texts": levels(sets["from texts"][label], rate),
        }
        for label in prompts
    }
    report["model_hash"] = model.weights_hash
    out = arguments.out or HERE / measured.report
    out.write_text(json.dumps(report, indent=2) + "\n")
    for name in sets:
        print(f"{name:36} {report[name]['accuracy']:.3f} {report[name]['interval_95']}")
        print("   ", report[name]["per_class"])
    if arguments.classes == "ten":
        labels = list(prompts)
        for page, some in enumerate((labels[:5], labels[5:]), start=1):
            draw(arguments.pictures / f"real-and-generated-{page}.png", sets, some, model)


def draw(
    path: Path, sets: dict[str, Waveforms], labels: list[str], model: latentfoley.Model
) -> None:
    """Write a page: per class two held-out recordings beside two clips generated from texts."""
    waveforms, titles = [], []
    for label in labels:
        waveforms += [*sets["held-out recordings"][label][:2], *sets["from texts"][label][:3:2]]
        titles += [f"{label}, real"] * 2 + [f"{label}, generated"] * 2
    plot_clips(path, waveforms, titles, model.config.mel, columns=4)


if __name__ == "__main__":
    main()
