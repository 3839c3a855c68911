"""Can you tell what it is? An independent classifier names clips of the embedded model.

    python benchmarks/tiny/recognise.py

Clips of each class of ESC-50 from ten prompts that are no training caption (`prompts*.toml`), and
guided by recordings that were kept out of training. Beside them stand those recordings themselves,
which the classifier has not seen either, and their passage through the VAE and the vocoder; and per
class, how loud and how silent recordings and the clips from texts are. Writes
`benchmarks/tiny/recognition.json` and pages of pictures for the docs.
"""

import argparse
import json
import sys
import tomllib
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))  # the classifier is a script beside this folder

import latentfoley
from classifier import classify, load_classifier, wilson_interval
from latentfoley.audio import read_audio
from latentfoley.data.recordings import load_clips
from latentfoley.evaluation.sets.clips import ClipSet
from latentfoley.evaluation.sets.generated import generate_set
from latentfoley.evaluation.sets.prompts import Prompt
from latentfoley.levels import measure
from latentfoley.mel import log_mel
from latentfoley.pictures import plot_clips

HERE = Path(__file__).parent
SEED = 2026
ESC10, ESC40 = "prompts", "prompts-esc50"  # files of prompts
CLASSIFIER = Path("build/classifier-fifty.safetensors")
MANIFEST = Path("runs/tiny/manifest.jsonl")
N_GUIDED = 4  # clips of a class that are guided by recordings
PER_PAGE = 10  # classes
Waveforms = dict[str, list[np.ndarray]]


def read_prompts() -> dict[str, list[str]]:
    """Return the prompts of each class of ESC-50."""
    prompts: dict[str, list[str]] = {}
    for name in (ESC10, ESC40):
        prompts |= tomllib.loads((HERE / f"{name}.toml").read_text(encoding="utf-8"))
    return dict(sorted(prompts.items()))


def generate_each(model: latentfoley.Model, prompts: dict[str, list[str]], folder: Path) -> ClipSet:
    """Generate a clip of each prompt of each class, or take those that lie in the folder."""
    wishes = [
        Prompt(text, f"{label}/{k:02d}")
        for label, texts in prompts.items()
        for k, text in enumerate(texts)
    ]

    def say(done: int, total: int) -> None:
        print(f"\r{done} of {total}", end="", flush=True)

    return generate_set(model, wishes, folder, seed=SEED, progress=say)


def from_texts(clips: ClipSet, sample_rate: int) -> Waveforms:
    """Return the clips of each class."""
    waveforms: Waveforms = {}
    for clip in clips.clips:
        waveform = read_audio(clip.path, sample_rate=sample_rate).waveform
        waveforms.setdefault(clip.key.partition("/")[0], []).append(waveform)
    return waveforms


def from_recordings(
    model: latentfoley.Model, recordings: dict[str, list[Path]], count: int
) -> Waveforms:
    """Generate each class's clips guided by its held-out recordings, in turn."""
    waveforms: Waveforms = {label: [] for label in recordings}
    for label in recordings:
        shares = np.linspace(0, count, len(recordings[label]) + 1).round().astype(int)
        for path, n in zip(recordings[label], np.diff(shares).tolist(), strict=True):
            made = model.generate(audio_prompt=path, n=n, seed=SEED) if n else []
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
    """Return right answers in all, of ESC-10 and per class, and what was said instead."""
    ten = tomllib.loads((HERE / f"{ESC10}.toml").read_text(encoding="utf-8"))
    said = {label: judge(clips) for label, clips in waveforms.items()}
    right = {label: [name == label for name in names] for label, names in said.items()}
    wrong = {label: [name for name in names if name != label] for label, names in said.items()}
    return counted(list(chain.from_iterable(right.values()))) | {
        "ESC-10": counted(list(chain.from_iterable(right[label] for label in ten))),
        "per_class": {label: round(sum(some) / len(some), 3) for label, some in right.items()},
        "mistaken_for": {
            label: {name: names.count(name) for name in sorted(set(names))}
            for label, names in wrong.items()
        },
    }


def counted(right: list[bool]) -> dict[str, Any]:
    """Return the share of right answers, with its 95 % interval and count."""
    low, high = wilson_interval(sum(right), len(right))
    return {
        "accuracy": round(sum(right) / len(right), 4),
        "interval_95": [round(low, 4), round(high, 4)],
        "n": len(right),
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
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--clips", type=Path, default=Path("out/evaluate"))
    parser.add_argument("--out", type=Path, default=HERE / "recognition.json")
    parser.add_argument("--pictures", type=Path, default=Path("docs/pictures"))
    arguments = parser.parse_args()

    model = latentfoley.load(arguments.model)
    rate = model.config.mel.sample_rate
    clips = load_clips(MANIFEST, arguments.data, "valid", rate)
    trained = load_clips(MANIFEST, arguments.data, "train", rate)
    prompts = read_prompts()
    held_out = {label: [clip for clip in clips if label in clip.labels] for label in prompts}
    real = {label: [clip.waveform for clip in held_out[label]] for label in prompts}
    paths = {label: [arguments.data / clip.path for clip in held_out[label]] for label in prompts}
    ensemble = load_classifier(CLASSIFIER)
    sets = {
        "held-out recordings": real,
        "the same through VAE and vocoder": {
            label: [resynthesise(model, waveform) for waveform in real[label]] for label in prompts
        },
        "from texts": from_texts(generate_each(model, prompts, arguments.clips), rate),
        "from held-out recordings": from_recordings(model, paths, N_GUIDED),
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
    arguments.out.write_text(json.dumps(report, indent=2) + "\n")
    for name in sets:
        print(f"{name:36} {report[name]['accuracy']:.3f} {report[name]['interval_95']}")
    labels = list(prompts)
    for page, first in enumerate(range(0, len(labels), PER_PAGE), start=1):
        path = arguments.pictures / f"real-and-generated-{page}.png"
        draw(path, sets, labels[first : first + PER_PAGE], model)


def draw(
    path: Path, sets: dict[str, Waveforms], labels: list[str], model: latentfoley.Model
) -> None:
    """Write a page: of each class a held-out recording beside a clip generated from a text."""
    waveforms, titles = [], []
    for label in labels:
        waveforms += [sets["held-out recordings"][label][0], sets["from texts"][label][0]]
        titles += [f"{label}, real", f"{label}, generated"]
    plot_clips(path, waveforms, titles, model.config.mel, columns=4)


if __name__ == "__main__":
    main()
