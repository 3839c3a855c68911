"""A name, a folder, a hub id or a checkpoint file → a model."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar, get_args

import torch
from torch import nn

from latentfoley.checkpoints.adapter import read_adapter
from latentfoley.checkpoints.compat import require_mode
from latentfoley.checkpoints.hub import fetch, nowhere
from latentfoley.checkpoints.loudness import read_loudness
from latentfoley.checkpoints.original import open_original
from latentfoley.checkpoints.parts import Parts, open_folder
from latentfoley.checkpoints.registry import PUBLISHED
from latentfoley.checkpoints.tensors import PICKLES
from latentfoley.checkpoints.tokenizer import Tokenizer
from latentfoley.checkpoints.towers import text_network
from latentfoley.clap import TextTower
from latentfoley.config import Dtype, ModelConfig, Prediction, ScheduleConfig, Usage, VocoderConfig
from latentfoley.devices import DTYPES, choose_device, choose_dtype
from latentfoley.errors import InputError, ModelError, nearest, nearest_files
from latentfoley.fast_convolutions import with_fast_convolutions
from latentfoley.int8 import with_int8
from latentfoley.pipeline import Model
from latentfoley.provenance import Lora
from latentfoley.spectral_vocoder import build_vocoder
from latentfoley.unet import Unet
from latentfoley.vae import Vae

N = TypeVar("N", bound=nn.Module)
EMBEDDED = ("tiny",)
PREDICTIONS: tuple[Prediction, ...] = get_args(Prediction)
RESOURCES = Path(__file__).parent / "resources"


def load(
    model: str | Path = "tiny",
    *,
    revision: str | None = None,
    device: str | None = None,
    dtype: str = "auto",
    compat: str = "trained",
    tokenizer: str | Path | None = None,
    prediction: str | None = None,
    lora: str | Path | None = None,
) -> Model:
    """Return a model, ready to generate.

    Args:
        model: the embedded model's name, a folder in the diffusers layout, a published name
            ("audioldm-s-full-v2") or a Hugging Face id ("cvssp/audioldm-s-full-v2"), both
            downloaded once, or a checkpoint file of the authors' code (.ckpt).
        revision: branch, tag or commit of a hub id.
        device: "cpu", "cuda", "cuda:1", "mps"; None takes the first GPU (CUDA, else
            Apple's), else the CPU.
        dtype: precision of the networks: "fp32"; "bf16" for denoiser, VAE and vocoder; "int8"
            is that with the heavy layers of denoiser and VAE in 8-bit integers, on a CPU with
            VNNI; "fp16" for the denoiser alone, whose range suffices; "auto", which for networks
            of 256 channels and more is "int8" where the hardware has it, else "bf16" where that
            is, and "fp32" for all else. CLAP, the sampler's arithmetic, sums over windows and
            Griffin-Lim stay in fp32.
        compat: "trained" is the function the published weights were trained for, "diffusers"
            the one that diffusers computes from the same files.
        tokenizer: folder or hub id of the text tower's tokenizer, which a .ckpt does not hold;
            None is roberta-base.
        prediction: what the denoiser of a .ckpt was trained to predict, which the file does not
            say: "epsilon", the noise, or "v_prediction"; None is "epsilon".
        lora: folder of an adapter in peft's form, merged into the denoiser.

    Raises:
        ModelError: there is no such model or adapter, or its files do not fit together.
        InputError: the device, the dtype, the compat or the prediction does not exist.
    """
    for name in (revision, tokenizer):
        str(name).encode()  # bytes that are no UTF-8 are refused here
    mode, where = require_mode(compat), choose_device(device)
    precision = choose_dtype(dtype, where)  # before anything is fetched
    parts = open_model(
        str(model), revision=revision, compat=mode, tokenizer=tokenizer, prediction=prediction
    )
    require_fit(parts)
    if dtype == "auto" and parts.unet.config.is_small:
        precision = "fp32"
    number = DTYPES[precision]
    half = number if number == torch.bfloat16 else torch.float32
    # Of a spectral vocoder's phases bf16 would leave three digits.
    of_vocoder = half if isinstance(parts.vocoder.config, VocoderConfig) else torch.float32
    adapter = read_adapter(Path(lora).expanduser()) if lora is not None else None
    unet = adapter.merge(parts.unet) if adapter else parts.unet
    text = parts.text.fill(text_network).to(where)
    tokenizer_folder = parts.find_tokenizer()
    return Model(
        name=str(model),
        folder=parts.where,
        config=ModelConfig(
            mel=parts.about.mel,
            vae=parts.vae.config,
            unet=parts.unet.config,
            vocoder=parts.vocoder.config,
            schedule=parts.schedule,
            **parts.about.model_dump(include=set(Usage.model_fields)),
        ),
        text=TextTower(text, Tokenizer.read(tokenizer_folder)),
        unet=_laid_out(unet.fill(Unet, number).to(where), precision),
        vae=_laid_out(parts.vae.fill(Vae, half).to(where), precision),
        vocoder=_laid_out(parts.vocoder.fill(build_vocoder, of_vocoder).to(where), precision),
        dtype=precision,
        tokenizer_folder=tokenizer_folder,
        compat=mode,
        revision=revision,
        tokenizer=str(tokenizer) if tokenizer else None,
        prediction=_require_prediction(prediction),
        loudness=read_loudness(parts.where, parts.unet.config.embedding_dim),
        lora=Lora(name=str(lora), hash=adapter.hash) if adapter else None,
    )


def _laid_out(network: N, precision: Dtype) -> N:
    """Return a network as it computes fastest where it is."""
    weight = next(network.parameters())
    if weight.device.type != "cpu":
        return network
    if weight.dtype == torch.float32:
        return with_fast_convolutions(network)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return with_int8(network) if precision == "int8" else network


def open_model(
    model: str,
    *,
    revision: str | None = None,
    compat: str = "trained",
    tokenizer: str | Path | None = None,
    prediction: str | None = None,
    ema: bool = True,
) -> Parts:
    """Open whatever `load` takes, without reading its weights; `ema` is for checkpoint files."""
    mode, path = require_mode(compat), Path(model).expanduser()
    given = _require_prediction(prediction)
    if path.is_file() and path.suffix in PICKLES:
        find = partial(fetch_tokenizer, tokenizer)
        parts = open_original(path, find_tokenizer=find, mode=mode, ema=ema)
        schedule = ScheduleConfig(prediction=given or "epsilon")
        return replace(parts, schedule=schedule)
    parts = open_folder(find_folder(model, revision), mode)
    if given not in (None, parts.schedule.prediction):
        raise InputError(
            f"{parts.where} says itself that it predicts {parts.schedule.prediction}; "
            "another prediction can be given for a .ckpt alone"
        )
    return parts


def _require_prediction(name: str | None) -> Prediction | None:
    for known in PREDICTIONS:
        if name == known:
            return known
    if name is None:
        return None
    raise InputError(f"unknown prediction '{name}'; {nearest(str(name), PREDICTIONS)}")


def fetch_tokenizer(tokenizer: str | Path | None) -> Path:
    """Return the folder of a tokenizer: given, or that of roberta-base from the hub."""
    path = Path(tokenizer or "").expanduser()
    if tokenizer and path.is_dir():
        return path
    try:
        return fetch(str(tokenizer or "FacebookAI/roberta-base"), patterns=("*.json", "*.txt"))
    except ModelError as error:
        raise ModelError(
            f"a checkpoint file holds no tokenizer, and it could not be fetched: {error} "
            "Give the folder of a roberta-base tokenizer (the tokenizer/ of any published model): "
            "--tokenizer FOLDER, or load(..., tokenizer=FOLDER) in Python."
        ) from None


def find_folder(model: str, revision: str | None = None) -> Path:
    """Return the folder that holds a model, downloading it where it is a hub id."""
    if model in EMBEDDED:
        return _require_index(RESOURCES / model)
    path = Path(model).expanduser()
    if model and path.is_dir():
        return _require_index(path)
    if model and path.exists():
        raise ModelError(
            f"{model} is a file; a model is a folder with model_index.json in it, or a checkpoint "
            f"({', '.join(PICKLES)})"
        )
    if model in PUBLISHED:
        return _require_index(fetch(PUBLISHED[model].hub_id_or_raise(), revision))
    if model.count("/") != 1 or model.startswith((".", "/", "~")):
        raise ModelError(
            f"there is no model '{model}': give a folder, a hub id (owner/name) or a name; "
            f"{nearest(model, [*EMBEDDED, *PUBLISHED])}"
            f"{nearest_files(path) if '/' in model else ''}"
        )
    try:
        return _require_index(fetch(model, revision))
    except ModelError as error:
        raise nowhere(model, error) from None


def _require_index(folder: Path) -> Path:
    """Return the folder of a model; refuse one that is something else."""
    if (folder / "model_index.json").is_file():
        return folder
    inside = sorted(found.parent.name for found in folder.glob("*/model_index.json"))
    hint = f"; there is one in {', '.join(inside)}" if inside else ""
    raise ModelError(f"the folder {folder} holds no model: it has no model_index.json{hint}")


def require_fit(parts: Parts) -> None:
    """Check that the parts of a model were made for each other.

    Raises:
        ModelError: names the two that were not.
    """
    mel, vae = parts.about.mel, parts.vae.config
    unet, vocoder = parts.unet.config, parts.vocoder.config
    E_size = parts.text.config.get("projection_dim", 512)
    pairs = {
        "latent channels of unet and vae": (unet.latent_channels, vae.latent_channels),
        "size of E in text_encoder and unet": (E_size, unet.embedding_dim),
        "mel bands of the front end and vocoder": (mel.n_mels, vocoder.n_mels),
        "sample rates of the front end and vocoder": (mel.sample_rate, vocoder.sample_rate),
        "samples per frame of both": (mel.hop_length, vocoder.hop_length),
    }
    for what, (one, other) in pairs.items():
        if one != other:
            raise ModelError(
                f"the parts of {parts.where} do not fit together: {what}: {one}, {other}"
            )
