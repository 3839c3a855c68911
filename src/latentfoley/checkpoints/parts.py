"""All parts of a model on disk, whatever the format: opened, not yet read.

`open_folder` makes it from a folder in the diffusers layout, `original.open_original` from the
authors' `.ckpt`; `write_folder` and `original.write_original` go the other way. Loading, converting
and exporting are all one of the former, then a network or one of the latter.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from latentfoley.checkpoints import compat, layout, towers
from latentfoley.checkpoints.compat import Choice, Compat
from latentfoley.checkpoints.json_files import Json, read_json, write_json
from latentfoley.checkpoints.kinds import TRANSFORMERS_WEIGHTS
from latentfoley.checkpoints.loudness import copy_loudness
from latentfoley.checkpoints.tensors import Stored, write_tensors
from latentfoley.checkpoints.tokenizer import read_with_transformers
from latentfoley.config import (
    PUBLISHED_FRONT_END,
    AnyVocoderConfig,
    ClapFrontEnd,
    ScheduleConfig,
    UnetConfig,
    VaeConfig,
)
from latentfoley.errors import ModelError
from latentfoley.files import aside

ATTRIBUTION = "ATTRIBUTION.csv"


@dataclass(frozen=True)
class Parts:
    """A model on disk. `heads` and `eps` say what those settings are, and why."""

    where: Path
    unet: Stored[UnetConfig]
    vae: Stored[VaeConfig]
    vocoder: Stored[AnyVocoderConfig]
    text: Stored[Json]
    audio: Stored[Json] | None
    front_end: ClapFrontEnd
    schedule: ScheduleConfig
    about: layout.Description
    find_tokenizer: Callable[[], Path]  # a .ckpt holds none: it may have to be fetched
    heads: Choice[Any]
    eps: Choice[float]

    @property
    def stored(self) -> dict[str, Stored[Any]]:
        """The parts that hold weights, by the name of their folder."""
        named: dict[str, Stored[Any]] = {
            "text_encoder": self.text,
            "unet": self.unet,
            "vae": self.vae,
            "vocoder": self.vocoder,
        }
        return named | ({"audio_encoder": self.audio} if self.audio else {})


def open_folder(folder: Path, mode: Compat = "trained") -> Parts:
    """Open a model folder.

    Raises:
        ModelError: a part is missing, damaged, or of a kind that AudioLDM does not have.
    """
    layout.require_classes(folder)
    has_audio = (folder / "audio_encoder").is_dir()
    extractor = folder / "feature_extractor"
    unet, text = layout.open_unet(folder / "unet", mode), towers.open_text(folder)
    values = read_json(folder / "unet" / "config.json")
    written = values["attention_head_dim"]
    eps = compat.text_eps(text.config.get("layer_norm_eps", compat.PUBLISHED_EPS), written, mode)
    return Parts(
        where=folder,
        unet=unet,
        vae=layout.open_vae(folder / "vae"),
        vocoder=layout.open_vocoder(folder / "vocoder"),
        text=towers.with_eps(text, eps.value),
        audio=towers.open_audio(folder) if has_audio else None,
        front_end=layout.read_front_end(extractor) if has_audio else PUBLISHED_FRONT_END,
        schedule=layout.read_schedule(folder / "scheduler"),
        about=layout.read_description(folder),
        find_tokenizer=lambda: folder / "tokenizer",
        heads=compat.heads(written, values["block_out_channels"], mode),
        eps=eps,
    )


def _compact(path: Path) -> None:
    """Rewrite a tokenizer's JSON without indentation, which is a third of its size."""
    if path.is_file():
        values = json.loads(path.read_text(encoding="utf-8"))
        text = json.dumps(values, ensure_ascii=False, separators=(",", ":"))
        path.write_text(text, encoding="utf-8")


def _copy_attribution(where: Path, out: Path) -> None:
    """Copy the list of recordings behind a model, where it has one: its licences ask for that."""
    listing = where / ATTRIBUTION
    if listing.is_file():
        shutil.copy(listing, out / ATTRIBUTION)


def write_folder(parts: Parts, out: Path) -> int:
    """Write a model folder that we and diffusers load as the same function; return its bytes.

    Everything is written aside and moved at the end: `out` is whole or absent.

    Raises:
        ModelError: `out` exists already, or the tokenizer cannot be read.
    """
    if out.exists():
        raise ModelError(f"{out} exists already; give the name of a new folder")
    tokenizer = parts.find_tokenizer()
    kind = type(read_with_transformers(tokenizer)).__name__
    with aside(out) as folder:
        layout.write_unet(folder / "unet", parts.unet.config, parts.unet.weights)
        layout.write_vae(folder / "vae", parts.vae.config, parts.vae.weights)
        layout.write_vocoder(folder / "vocoder", parts.vocoder.config, parts.vocoder.weights)
        for name, tower in (("text_encoder", parts.text), ("audio_encoder", parts.audio)):
            if tower is not None:
                write_json(folder / name / "config.json", tower.config)
                write_tensors(folder / name / TRANSFORMERS_WEIGHTS, tower.weights)
        if parts.audio is not None:
            layout.write_front_end(folder / "feature_extractor", parts.front_end)
        layout.write_schedule(folder / "scheduler", parts.schedule)
        layout.write_description(folder, parts.about)
        shutil.copytree(tokenizer, folder / "tokenizer")
        _compact(folder / "tokenizer" / "tokenizer.json")
        layout.write_index(folder, kind, parts.vae.config, parts.vocoder.config)
        _copy_attribution(parts.where, folder)
        copy_loudness(parts.where, folder)
    return sum(file.stat().st_size for file in out.glob("**/*") if file.is_file())
