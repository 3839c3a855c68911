"""Recordings decoded into memory, and random crops of them.

A batch depends on (seed, step) alone: a resumed run draws the very crops it would have drawn.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float32

from latentfoley.audio import is_silent, normalise_peak, read_audio
from latentfoley.data.metadata import read_manifest
from latentfoley.errors import AudioFileError, RecipeError

Samples = Float32[np.ndarray, "N"]

_DRAWS = 10  # crops tried before a silent one is accepted


@dataclass(frozen=True)
class Clip:
    """One decoded recording: mono, at the model's rate."""

    waveform: Samples
    captions: tuple[str, ...]
    labels: tuple[str, ...]
    path: str


def load_clips(
    manifest: Path, data: Path, split: Literal["train", "valid"], sample_rate: int
) -> list[Clip]:
    """Decode every recording of one split; broken files are an error that lists them all.

    Raises:
        RecipeError: a file cannot be read, or the split is empty.
    """
    clips, broken = [], []
    for entry in read_manifest(manifest):
        if entry.split != split:
            continue
        try:
            recording = read_audio(data / entry.path, sample_rate=sample_rate)
            clips.append(Clip(recording.waveform, entry.captions, entry.labels, entry.path))
        except AudioFileError as error:
            broken.append(str(error))
    if broken:
        raise RecipeError(f"{len(broken)} recordings cannot be read:\n" + "\n".join(broken))
    if not clips:
        raise RecipeError(f"{manifest} has no recordings in split '{split}'")
    return clips


def generator(seed: int, step: int) -> np.random.Generator:
    """Return the randomness of one training step, independent of every other step's."""
    return np.random.default_rng([seed, step])


def crop(clip: Samples, n_samples: int, rng: np.random.Generator) -> Samples:
    """Return an audible crop of `n_samples`, peak-normalised to 0.5.

    A longer clip is cut at random; a shorter one is placed at random in silence.
    """
    return cut(clip, draw_start(clip, n_samples, rng), n_samples)


def draw_start(clip: Samples, n_samples: int, rng: np.random.Generator) -> int:
    """Return the sample a random crop begins at; below zero it begins before the clip does."""
    room = len(clip) - n_samples
    if room <= 0:
        return -int(rng.integers(0, 1 - room))
    for _ in range(_DRAWS):
        start = int(rng.integers(0, room + 1))
        if not is_silent(clip[start : start + n_samples]):
            break
    return start


def cut(clip: Samples, start: int, n_samples: int) -> Samples:
    """Return `n_samples` from sample `start` on, at peak 0.5; beyond the clip there is silence."""
    piece = normalise_peak(clip[max(0, start) : start + n_samples])
    return np.pad(piece, (max(0, -start), n_samples - max(0, -start) - len(piece)))


def crops(
    clips: list[Clip], n_samples: int, batch_size: int, rng: np.random.Generator
) -> Float32[np.ndarray, "B N"]:
    """Return a batch of random crops of random clips, each at a random level from -20 to 0 dB."""
    chosen = rng.integers(0, len(clips), batch_size)
    levels = 10 ** rng.uniform(-1, 0, (batch_size, 1))
    batch = np.stack([crop(clips[i].waveform, n_samples, rng) for i in chosen])
    loud: Float32[np.ndarray, "B N"] = (2 * levels * batch).astype(np.float32)
    return loud
