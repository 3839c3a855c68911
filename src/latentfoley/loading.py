"""A name, a folder or a hub id → a model."""

import math
from hashlib import sha256
from pathlib import Path

import torch

from latentfoley.checkpoints import layout
from latentfoley.clap import TextTower
from latentfoley.config import ModelConfig
from latentfoley.errors import InputError, ModelError, nearest, nearest_files
from latentfoley.pipeline import Model

EMBEDDED = ("tiny",)
RESOURCES = Path(__file__).parent / "resources"


def load(
    model: str | Path = "tiny", *, revision: str | None = None, device: str | None = None
) -> Model:
    """Return a model, ready to generate.

    Args:
        model: the embedded model's name, a folder in the diffusers layout, or a Hugging Face id
            such as "cvssp/audioldm-s-full-v2", which is downloaded once.
        revision: branch, tag or commit of a hub id.
        device: "cpu", "cuda", "cuda:1", "mps"; None takes the first GPU, else the CPU.

    Raises:
        ModelError: there is no such model, or its files do not fit together.
        InputError: the device does not exist.
    """
    where = choose_device(device)
    folder = find_folder(str(model), revision)
    unet, vae = layout.read_unet(folder / "unet"), layout.read_vae(folder / "vae")
    vocoder, about = layout.read_vocoder(folder / "vocoder"), layout.read_description(folder)
    schedule = layout.read_schedule(folder / "scheduler")
    config = ModelConfig(
        mel=about.mel,
        vae=vae.config,
        unet=unet.config,
        vocoder=vocoder.config,
        schedule=schedule,
        phase_iterations=about.phase_iterations,
    )
    text = TextTower.load(folder)
    _require_fit(folder, config, text)
    text.model.to(where)
    return Model(
        name=str(model),
        folder=folder,
        weights_hash=hash_weights(folder),
        config=config,
        text=text,
        unet=unet.to(where),
        vae=vae.to(where),
        vocoder=vocoder.to(where),
    )


def find_folder(model: str, revision: str | None = None) -> Path:
    """Return the folder that holds a model, downloading it where it is a hub id."""
    if model in EMBEDDED:
        return _require_index(RESOURCES / model)
    path = Path(model).expanduser()
    if model and path.is_dir():
        return _require_index(path)
    if model and path.exists():
        raise ModelError(f"{model} is a file; a model is a folder with model_index.json in it")
    if model.count("/") != 1 or model.startswith((".", "/", "~")):
        raise ModelError(
            f"there is no model '{model}': give a folder, a hub id (owner/name) or an embedded "
            f"model; {nearest(model, EMBEDDED)}{nearest_files(path) if '/' in model else ''}"
        )
    return _download(model, revision, nearest_files(path) if path.parent.is_dir() else "")


def choose_device(device: str | None) -> torch.device:
    """Return the device to use.

    Raises:
        InputError: it is not a device, or this machine has none of its kind.
    """
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return _try(torch.device(device))
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"device '{device}' cannot be used here: {reason}") from None


def _try(device: torch.device) -> torch.device:
    """Return the device with its number; the one called meta computes nothing and is refused."""
    number = torch.zeros(1, device=device)
    number.item()
    return number.device


def _require_index(folder: Path) -> Path:
    """Return the folder of a model; refuse one that is something else."""
    if (folder / "model_index.json").is_file():
        return folder
    inside = sorted(found.parent.name for found in folder.glob("*/model_index.json"))
    hint = f"; there is one in {', '.join(inside)}" if inside else ""
    raise ModelError(f"the folder {folder} holds no model: it has no model_index.json{hint}")


def _require_fit(folder: Path, config: ModelConfig, text: TextTower) -> None:
    """Check that the parts of a model were made for each other.

    Raises:
        ModelError: names the two that were not.
    """
    mel, vae, unet, vocoder = config.mel, config.vae, config.unet, config.vocoder
    E_size = text.model.config.projection_dim  # type: ignore[union-attr]
    pairs = {
        "latent channels of unet and vae": (unet.latent_channels, vae.latent_channels),
        "size of E in text_encoder and unet": (E_size, unet.embedding_dim),
        "mel bands of the front end and vocoder": (mel.n_mels, vocoder.n_mels),
        "sample rates of the front end and vocoder": (mel.sample_rate, vocoder.sample_rate),
        "samples per frame of both": (mel.hop_length, math.prod(vocoder.upsample_rates)),
    }
    for what, (one, other) in pairs.items():
        if one != other:
            raise ModelError(f"the parts of {folder} do not fit together: {what}: {one}, {other}")


def hash_weights(folder: Path) -> str:
    """Return the first 16 hexadecimal digits of a hash over every weight file of a model."""
    digest = sha256()
    for file in sorted(folder.glob("*/*.safetensors")):
        digest.update(file.relative_to(folder).as_posix().encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _download(model: str, revision: str | None, hint: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    patterns = ["*.json", "*/*.json", "*/*.safetensors", "*/*.txt"]
    try:
        return Path(snapshot_download(model, revision=revision, allow_patterns=patterns))
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise ModelError(
            f"there is no folder '{model}', and '{model}' could not be fetched from the Hugging "
            f"Face hub ({reason}). Without network, give a folder that holds the model, or use the "
            f"embedded model 'tiny'.{hint}"
        ) from None
