"""How loud each kind is: `python recipes/tiny/loudness.py DATA MANIFEST MODEL`.

Fits the linear head from E to loudness to all recordings that are trained on, as they are before
training, each by all of its captions, and writes it into the model's folder.
"""

import argparse
from pathlib import Path

import torch

from latentfoley.audio import read_audio
from latentfoley.checkpoints.loudness import write_loudness
from latentfoley.clap import TextTower
from latentfoley.data.metadata import Entry, read_manifest
from latentfoley.levels import FAINT_LUFS, loudness
from latentfoley.loudness import LoudnessHead


def loudness_of(path: Path) -> float:
    """Return the loudness of a recording in LUFS."""
    recording = read_audio(path)
    return loudness(recording.waveform, recording.sample_rate)


def fit(entries: list[Entry], data: Path, tower: TextTower) -> tuple[LoudnessHead, float]:
    """Return the head, and the root of its mean squared error in LU."""
    known = [(entry, loudness_of(data / entry.path)) for entry in entries]
    heard = [(entry, lufs) for entry, lufs in known if lufs >= FAINT_LUFS]
    captions = sorted({caption for entry, _ in heard for caption in entry.captions})
    place = {caption: k for k, caption in enumerate(captions)}
    rows = [(place[c], lufs, 1 / len(e.captions)) for e, lufs in heard for c in e.captions]
    chosen, lufs, shares = (torch.tensor(column) for column in zip(*rows, strict=True))
    E = tower.embed(captions)[chosen]
    head = LoudnessHead.fit(E, lufs, shares)
    error = (torch.tensor(head(E)) - lufs).square()
    return head, float((error * shares).sum() / shares.sum()) ** 0.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("model", type=Path)
    arguments = parser.parse_args()
    entries = [one for one in read_manifest(arguments.manifest) if one.split == "train"]
    head, error = fit(entries, arguments.data, TextTower.load(arguments.model))
    write_loudness(arguments.model, head)
    print(f"{len(entries)} recordings by their captions, within {error:.1f} LU (RMS)")  # noqa: T201


if __name__ == "__main__":
    main()
