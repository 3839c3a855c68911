"""What the measures listen to: recordings of the run's data, its parts, and its previews.

Paths in a recipe count from the folder that the training ran in, and so does this: the report is
made from there. Whatever is not found becomes an `UnmeasuredError`, which the page prints.
"""

from pathlib import Path
from typing import Literal

import numpy as np
import torch

from latentfoley.audio import read_audio
from latentfoley.clap import AudioTower, TextTower
from latentfoley.config import MelConfig
from latentfoley.data.manifest import Entry, read_manifest
from latentfoley.data.recordings import Clip, Samples, crop, generator
from latentfoley.errors import UserError
from latentfoley.mel import log_mel
from latentfoley.notation import Embedding, LogMel
from latentfoley.training.report.judgement import UnmeasuredError
from latentfoley.training.report.run import Run

Split = Literal["train", "valid"]

_CROPS_STREAM = 2300  # of the windows that are measured; any number, the same in every report


def part(run: Run, name: Literal["vae", "clap"]) -> Path:
    """Return the folder that holds the VAE or CLAP that a run trained, or was trained on.

    Raises:
        UnmeasuredError: the run is not exported yet, or the recipe names none that is there.
    """
    if run.kind == name:
        folder = run.folder / "model"
        if not folder.is_dir():
            raise UnmeasuredError("the run has not finished, and writes its model at the end")
        return folder
    named = run.recipe.get(name)
    if named is None:
        raise UnmeasuredError(f"it is not known which {name.upper()} the run was trained on")
    if not Path(named).is_dir():
        raise UnmeasuredError(
            f"'{named}' is not here; paths count from the folder that the training ran in"
        )
    return Path(named)


def clips(run: Run, split: Split, most: int, sample_rate: int) -> list[Clip]:
    """Return at most so many recordings of a split, taken evenly from all of it, decoded.

    Raises:
        UnmeasuredError: the data are not known, or not here.
    """
    folder, entries = _entries(run)
    chosen = [entry for entry in entries if entry.split == split]
    chosen = chosen[:: -(-len(chosen) // most) or 1]
    if len(chosen) < 2:
        raise UnmeasuredError(f"the data hold {len(chosen)} recordings in split '{split}'")
    try:
        return [
            Clip(
                read_audio(folder / entry.path, sample_rate=sample_rate).waveform,
                entry.captions,
                entry.labels,
                entry.path,
            )
            for entry in chosen
        ]
    except UserError as error:
        raise UnmeasuredError(f"the data are not as they were: {error}") from None


def windows(recordings: list[Clip], n_samples: int) -> list[Samples]:
    """Return one audible stretch of each, as training cuts them."""
    rng = generator(0, _CROPS_STREAM)
    return [crop(clip.waveform, n_samples, rng) for clip in recordings]


def mel_config(run: Run) -> MelConfig:
    """Return the log-mel front end of a run."""
    return MelConfig.parse(run.recipe.get("mel") or {}, where="run.json: recipe.mel")


def log_mels(waveforms: list[Samples], mel: MelConfig) -> LogMel:
    """Return the log-mels of sounds of one length."""
    return log_mel(torch.from_numpy(np.stack(waveforms)), mel)


def read_sounds(paths: list[Path], sample_rate: int) -> list[Samples]:
    """Decode previews.

    Raises:
        UnmeasuredError: one of them is damaged.
    """
    try:
        return [read_audio(path, sample_rate=sample_rate).waveform for path in paths]
    except UserError as error:
        raise UnmeasuredError(f"a preview cannot be read: {error}") from None


class Ears:
    """The CLAP of a run."""

    def __init__(self, run: Run) -> None:
        folder = part(run, "clap")
        try:
            self.audio, self.text = AudioTower.load(folder), TextTower.load(folder)
        except UserError as error:
            raise UnmeasuredError(f"its CLAP cannot be loaded: {error}") from None

    def hear(self, waveforms: list[Samples], sample_rate: int) -> Embedding:
        """Return one unit vector per sound."""
        return torch.stack([self.audio.embed(waveform, sample_rate) for waveform in waveforms])


def _entries(run: Run) -> tuple[Path, list[Entry]]:
    data = run.recipe.get("data")
    if not isinstance(data, dict) or "manifest" not in data:
        raise UnmeasuredError("it is not known which recordings the run was trained on")
    try:
        return Path(data["folder"]), read_manifest(Path(data["manifest"]))
    except UserError as error:
        raise UnmeasuredError(f"{str(error).rstrip('.')}; paths count from where it ran") from None
