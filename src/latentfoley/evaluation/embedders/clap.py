"""CLAP as an embedder: any model folder with an audio tower; the embedded `tiny` without one.

CLAP knows no classes. Its logits here are zero-shot: cosines to the names of ten everyday sounds
over a temperature, so that KL and IS can be computed offline. They compare runs of one project;
they are no PANNs and belong in no table beside them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, Float64

from latentfoley.checkpoints import towers
from latentfoley.checkpoints.layout import read_front_end
from latentfoley.checkpoints.tokenizer import Tokenizer
from latentfoley.clap import TextTower
from latentfoley.clap_audio import AudioTower
from latentfoley.config import PUBLISHED_FRONT_END
from latentfoley.errors import ModelError, nearest_files
from latentfoley.evaluation.embedders.embedder import Features
from latentfoley.evaluation.features.preprocess import AudioPreprocessing
from latentfoley.loading import RESOURCES
from latentfoley.pools import on_one_core

CLASSES = (
    "a dog barking", "a rooster crowing", "rain", "sea waves", "a crackling fire",
    "a crying baby", "a person sneezing", "a ticking clock", "a helicopter", "a chainsaw",
)  # fmt: skip
TEMPERATURE = 0.07  # where CLIP and CLAP begin training


@dataclass(frozen=True, eq=False)
class ClapEmbedder:
    """Both towers of a CLAP; a clip longer than its window is the mean of its windows."""

    name: str
    weights_hash: str
    audio: AudioTower
    text: TextTower
    class_texts: Float64[np.ndarray, "K D"]
    pooled: bool = False
    classes: str = f"zero-shot, {len(CLASSES)} names"

    @property
    def preprocessing(self) -> AudioPreprocessing:
        """Our rules, at the rate of the tower, which repeats short sounds."""
        front_end = self.audio.front_end
        return AudioPreprocessing(sample_rate=front_end.sample_rate, resampler=front_end.resampler)

    def embed(self, waveforms: Sequence[Float32[np.ndarray, "N"]]) -> list[Features]:
        """Return one unit row, and the zero-shot logits, per sound."""
        rows = self.audio.embed_all(waveforms).double().cpu().numpy()
        return [Features(E[None], self.class_texts @ E / TEMPERATURE) for E in rows]

    def embed_texts(self, texts: list[str]) -> Float64[np.ndarray, "B D"]:
        """Return one unit row per text."""
        return _rows(self.text, texts)


def load(path: Path | None) -> ClapEmbedder:
    """Return the CLAP of a model folder or of a `ClapModel` folder; of `tiny` without a path.

    Raises:
        ModelError: there is no such folder, or it holds no audio tower.
    """
    folder = RESOURCES / "tiny" if path is None else path
    if not folder.is_dir():
        raise ModelError(f"there is no folder '{folder}' with a CLAP.{nearest_files(folder)}")
    audio, text = _towers(folder)
    name = f"clap ({'tiny' if path is None else _name(folder)})"
    with on_one_core():  # every machine gives the same logits
        class_texts = _rows(text, list(CLASSES))
    return ClapEmbedder(name, _hash(folder), audio, text, class_texts)


def _towers(folder: Path) -> tuple[AudioTower, TextTower]:
    """Return both towers; transformers keeps them in one file, we in a folder each."""
    if (folder / "model_index.json").is_file():
        return AudioTower.load(folder), TextTower.load(folder)
    audio, text = towers.open_both(folder)
    front_end = read_front_end(folder).model_copy(
        update={"resampler": PUBLISHED_FRONT_END.resampler}
    )
    return (
        AudioTower(audio.fill(towers.audio_network), front_end),
        TextTower(text.fill(towers.text_network), Tokenizer.read(folder)),
    )


def _name(folder: Path) -> str:
    """Return a folder's name; the cache of the hub calls folders by their commit."""
    owner = folder.parents[1].name if folder.parent.name == "snapshots" else ""
    return owner.removeprefix("models--").replace("--", "/") or folder.name


@torch.no_grad()
def _rows(text: TextTower, texts: list[str]) -> Float64[np.ndarray, "B D"]:
    return np.asarray(text.embed(texts).double().cpu().numpy())


def _hash(folder: Path) -> str:
    """Return a hash of both towers, their front end, the tokenizer and the class names."""
    digest = sha256(repr((CLASSES, TEMPERATURE)).encode())
    parts = ("audio_encoder", "feature_extractor", "text_encoder", "tokenizer")
    whole = (folder / "model_index.json").is_file()
    files = [file for part in parts for file in sorted((folder / part).glob("*"))]
    for file in files if whole else sorted(path for path in folder.glob("*") if path.is_file()):
        digest.update(file.relative_to(folder).as_posix().encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()
