"""What the measures listen to: the data of a run, its VAE and its CLAP.

A VAE and a CLAP are trained on recordings that a manifest lists, and leave themselves in `model/`.
A denoiser is trained on a cache of windows (`latentfoley data encode`) with the parts of a model
that its recipe names. Paths in a recipe count from the folder that the training ran in, and so does
this: the report is made from there.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from latentfoley.audio import read_audio
from latentfoley.checkpoints.layout import read_vae
from latentfoley.checkpoints.towers import read_tokenizer, text_network
from latentfoley.clap import AudioTower, TextTower
from latentfoley.config import MelConfig
from latentfoley.data.encoder import audio_tower
from latentfoley.data.latents import LatentCache
from latentfoley.data.manifest import Entry, read_manifest
from latentfoley.data.recordings import Clip, Samples, crop, generator
from latentfoley.mel import log_mel
from latentfoley.notation import Embedding, LogMel
from latentfoley.training.diffusion_recipe import DiffusionRecipe
from latentfoley.training.origin import open_origin
from latentfoley.training.report.judgement import UnmeasuredError
from latentfoley.training.report.run import Run
from latentfoley.vae import Vae

Split = Literal["train", "valid"]

_CROPS_STREAM = 2300  # of the windows that are measured; any number, the same in every report


@dataclass(frozen=True)
class Ears:
    """The CLAP of a run."""

    audio: AudioTower
    text: TextTower

    def hear(self, waveforms: list[Samples], sample_rate: int) -> Embedding:
        """Return one unit vector per sound."""
        return torch.stack([self.audio.embed(waveform, sample_rate) for waveform in waveforms])


@dataclass(frozen=True)
class Windows:
    """Windows of a split: what is known of each, one row or item a window."""

    log_mel: LogMel
    E: Embedding
    captions: list[tuple[str, ...]]


class DenoiserRun:
    """What a denoiser was trained with: the parts of a model, and a cache of windows."""

    def __init__(self, run: Run) -> None:
        """Open what the recipe of `run` names.

        Raises:
            UnmeasuredError: the recipe is not known.
            UserError: a part of the model or the data is not there.
        """
        if not run.recipe:
            raise UnmeasuredError("the recipe of the run is not known")
        self.recipe = DiffusionRecipe.parse(run.recipe, where="the recipe in run.json")
        self.parts = open_origin(self.recipe)
        self.mel: MelConfig = self.parts.about.mel

    def vae(self) -> Vae:
        """Return its VAE."""
        return self.parts.vae.fill(Vae).eval()

    def ears(self) -> Ears:
        """Return its CLAP."""
        text = TextTower(
            self.parts.text.fill(text_network), read_tokenizer(self.parts.find_tokenizer())
        )
        return Ears(audio_tower(self.parts), text)

    def windows(self, split: Split, most: int) -> Windows:
        """Return at most so many windows of a split, taken evenly from all of it."""
        cache = LatentCache(self.recipe.data.latents, split)
        items = _evenly(len(cache), most)
        fields = cache.batch(items, ("log_mel", "E"))
        log_mels, E = fields["log_mel"].float().unsqueeze(1), fields["E"].float()
        return Windows(log_mels, E, [cache.captions(item) for item in items])


def finished(run: Run) -> Path:
    """Return the folder of what a run has made.

    Raises:
        UnmeasuredError: the run has not finished.
    """
    folder = run.folder / "model"
    if not folder.is_dir():
        raise UnmeasuredError("the run has not finished, and writes its model at the end")
    return folder


def trained_vae(run: Run) -> Vae:
    """Return what a run of the VAE has made."""
    return read_vae(finished(run) / "vae").eval()


def trained_clap(run: Run) -> Ears:
    """Return what a run of CLAP has made."""
    folder = finished(run)
    return Ears(AudioTower.load(folder), TextTower.load(folder))


def clips(run: Run, split: Split, most: int, sample_rate: int) -> list[Clip]:
    """Return at most so many recordings of a split, taken evenly from all of it, decoded.

    Raises:
        UnmeasuredError: the recipe names no manifest.
        UserError: the manifest or a recording is not there.
    """
    data = run.recipe.get("data") or {}
    if "manifest" not in data:
        raise UnmeasuredError("it is not known which recordings the run was trained on")
    chosen = [entry for entry in read_manifest(Path(data["manifest"])) if entry.split == split]
    entries = [chosen[item] for item in _evenly(len(chosen), most)]
    return [_decode(entry, Path(data["folder"]), sample_rate) for entry in entries]


def windows(recordings: list[Clip], n_samples: int) -> list[Samples]:
    """Return one audible stretch of each, as training cuts them."""
    rng = generator(0, _CROPS_STREAM)
    return [crop(clip.waveform, n_samples, rng) for clip in recordings]


def log_mels(waveforms: list[Samples], mel: MelConfig) -> LogMel:
    """Return the log-mels of sounds of one length."""
    return log_mel(torch.from_numpy(np.stack(waveforms)), mel)


def read_sounds(paths: list[Path], sample_rate: int) -> list[Samples]:
    """Decode previews."""
    return [read_audio(path, sample_rate=sample_rate).waveform for path in paths]


def mel_config(run: Run) -> MelConfig:
    """Return the log-mel front end that a run of the VAE was told to use."""
    return MelConfig.parse(run.recipe.get("mel") or {}, where="the recipe in run.json")


def _decode(entry: Entry, folder: Path, sample_rate: int) -> Clip:
    waveform = read_audio(folder / entry.path, sample_rate=sample_rate).waveform
    return Clip(waveform, entry.captions, entry.labels, entry.path)


def _evenly(count: int, most: int) -> list[int]:
    if count < 2:
        raise UnmeasuredError(f"there are {count} recordings to measure it on, and 2 are needed")
    return list(range(0, count, -(-count // most)))
