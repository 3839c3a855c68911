"""A model as a folder, in the layout of diffusers' AudioLDMPipeline.

    model_index.json        which class each folder holds
    unet/ vae/ vocoder/     config.json + one .safetensors file
    text_encoder/           CLAP's text tower and projection (transformers)
    tokenizer/              the text tower's tokenizer
    scheduler/              the noise schedule
    audio_encoder/          CLAP's audio tower and projection; diffusers has no place for it
    feature_extractor/      the front end of that tower
    latentfoley.json        what no other file can say: front end, name, licence

Each `*_config` pair translates between our configs and the published `config.json`. Loading is
strict: a missing or unexpected tensor is an error that names it.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import torch
from pydantic import Field
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from latentfoley.config import (
    ClapFrontEnd,
    Config,
    MelConfig,
    ScheduleConfig,
    UnetConfig,
    VaeConfig,
    VocoderConfig,
)
from latentfoley.errors import ModelError, RecipeError, nearest
from latentfoley.unet import Unet
from latentfoley.vae import Vae
from latentfoley.vocoder import Vocoder

DIFFUSERS_WEIGHTS = "diffusion_pytorch_model.safetensors"
TRANSFORMERS_WEIGHTS = "model.safetensors"
DIFFUSERS_VERSION = "0.42.1"  # the version this layout was checked against

StateDict = Mapping[str, Tensor]
Json = dict[str, Any]
M = TypeVar("M", bound=nn.Module)
C = TypeVar("C", bound=Config)

# What the attention of the VAE was called when the published files were written.
_OLD_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}


def write_vae(folder: Path, config: VaeConfig, weights: StateDict) -> None:
    """Write the first stage."""
    levels = len(config.block_channels)
    values = {
        "_class_name": "AutoencoderKL",
        "_diffusers_version": DIFFUSERS_VERSION,
        "act_fn": "silu",
        "in_channels": 1,
        "out_channels": 1,
        "latent_channels": config.latent_channels,
        "block_out_channels": list(config.block_channels),
        "layers_per_block": config.layers_per_block,
        "norm_num_groups": config.norm_groups,
        "down_block_types": ["DownEncoderBlock2D"] * levels,
        "up_block_types": ["UpDecoderBlock2D"] * levels,
        "sample_size": 512,
        "scaling_factor": config.scaling_factor,
    }
    _write(folder, values, DIFFUSERS_WEIGHTS, weights)


def read_vae(folder: Path) -> Vae:
    """Read the first stage; the published files use older names for its attention."""
    values = read_json(folder / "config.json")
    config = _parse(
        VaeConfig,
        {
            "latent_channels": values["latent_channels"],
            "block_channels": values["block_out_channels"],
            "layers_per_block": values["layers_per_block"],
            "norm_groups": values["norm_num_groups"],
            "scaling_factor": values["scaling_factor"],
        },
        folder,
    )
    return _fill(Vae(config), folder / DIFFUSERS_WEIGHTS, rename=_new_attention)


def _new_attention(key: str) -> str:
    before, dot, name = key.partition(".attentions.0.")
    layer, _, kind = name.rpartition(".")
    return f"{before}{dot}{_OLD_ATTENTION.get(layer, layer)}.{kind}" if dot else key


def write_unet(folder: Path, config: UnetConfig, weights: StateDict) -> None:
    """Write the denoiser. diffusers reads `attention_head_dim` as the number of heads per level."""
    lower = len(config.block_channels) - 1
    values = {
        "_class_name": "UNet2DConditionModel",
        "_diffusers_version": DIFFUSERS_VERSION,
        "act_fn": "silu",
        "attention_head_dim": list(config.heads),
        "block_out_channels": list(config.block_channels),
        "center_input_sample": False,
        "class_embed_type": "simple_projection",
        "class_embeddings_concat": True,
        "cross_attention_dim": list(config.block_channels),
        "down_block_types": ["DownBlock2D"] + ["CrossAttnDownBlock2D"] * lower,
        "flip_sin_to_cos": True,
        "freq_shift": 0,
        "in_channels": config.latent_channels,
        "layers_per_block": config.layers_per_block,
        "mid_block_type": "UNetMidBlock2DCrossAttn",
        "norm_eps": 1e-5,
        "norm_num_groups": config.norm_groups,
        "out_channels": config.latent_channels,
        "projection_class_embeddings_input_dim": config.embedding_dim,
        "sample_size": 128,
        "up_block_types": ["CrossAttnUpBlock2D"] * lower + ["UpBlock2D"],
        "use_linear_projection": False,
    }
    _write(folder, values, DIFFUSERS_WEIGHTS, weights)


def read_unet(folder: Path) -> Unet:
    """Read the denoiser.

    The published configs say 8 heads at every level, while their weights were trained with 32
    channels per head (64 for L): a plain 8 there is read as what was trained. Any other plain
    number is what diffusers takes it for, the heads of every level.
    """
    values = read_json(folder / "config.json")
    widths, heads = values["block_out_channels"], values["attention_head_dim"]
    if isinstance(heads, int):
        heads = _trained_heads(widths) if heads == 8 else [heads] * len(widths)
    config = _parse(
        UnetConfig,
        {
            "latent_channels": values["in_channels"],
            "block_channels": widths,
            "layers_per_block": values["layers_per_block"],
            "heads": heads,
            "embedding_dim": values["projection_class_embeddings_input_dim"],
            "norm_groups": values["norm_num_groups"],
        },
        folder,
    )
    return _fill(Unet(config), folder / DIFFUSERS_WEIGHTS)


def _trained_heads(widths: list[int]) -> list[int]:
    head_channels = 64 if widths[0] == 256 else 32
    return [max(1, width // head_channels) for width in widths]


def write_vocoder(folder: Path, config: VocoderConfig, weights: StateDict) -> None:
    """Write the generator."""
    values = {
        "architectures": ["SpeechT5HifiGan"],
        "model_type": "hifigan",
        "initializer_range": 0.01,
        "leaky_relu_slope": config.leaky_relu_slope,
        "model_in_dim": config.n_mels,
        "normalize_before": False,
        "resblock_dilation_sizes": [list(d) for d in config.resblock_dilations],
        "resblock_kernel_sizes": list(config.resblock_kernels),
        "sampling_rate": config.sample_rate,
        "upsample_initial_channel": config.channels,
        "upsample_kernel_sizes": list(config.upsample_kernels),
        "upsample_rates": list(config.upsample_rates),
    }
    _write(folder, values, TRANSFORMERS_WEIGHTS, weights)


def read_vocoder(folder: Path) -> Vocoder:
    """Read the generator."""
    values = read_json(folder / "config.json")
    config = _parse(
        VocoderConfig,
        {
            "n_mels": values["model_in_dim"],
            "sample_rate": values["sampling_rate"],
            "channels": values["upsample_initial_channel"],
            "upsample_rates": values["upsample_rates"],
            "upsample_kernels": values["upsample_kernel_sizes"],
            "resblock_kernels": values["resblock_kernel_sizes"],
            "resblock_dilations": values["resblock_dilation_sizes"],
            "leaky_relu_slope": values["leaky_relu_slope"],
        },
        folder,
    )
    return _fill(Vocoder(config), folder / TRANSFORMERS_WEIGHTS)


def write_schedule(folder: Path, config: ScheduleConfig) -> None:
    """Write the noise schedule as the published DDIM configuration."""
    values = {
        "_class_name": "DDIMScheduler",
        "_diffusers_version": DIFFUSERS_VERSION,
        "beta_start": config.beta_start,
        "beta_end": config.beta_end,
        "beta_schedule": "scaled_linear",
        "num_train_timesteps": config.n_train_steps,
        "prediction_type": config.prediction,
        "clip_sample": False,
        "set_alpha_to_one": False,
        "steps_offset": 1,
    }
    write_json(folder / "scheduler_config.json", values)


def read_schedule(folder: Path) -> ScheduleConfig:
    """Read the noise schedule.

    Raises:
        ModelError: the schedule or the prediction is of a kind AudioLDM does not use.
    """
    values = read_json(folder / "scheduler_config.json")
    if values.get("beta_schedule") != "scaled_linear":
        given = values.get("beta_schedule")
        raise ModelError(f"{folder}: beta_schedule is {given!r}, only 'scaled_linear' is supported")
    return _parse(
        ScheduleConfig,
        {
            "n_train_steps": values["num_train_timesteps"],
            "beta_start": values["beta_start"],
            "beta_end": values["beta_end"],
            "prediction": values.get("prediction_type", "epsilon"),
        },
        folder,
    )


def write_front_end(folder: Path, front_end: ClapFrontEnd) -> None:
    """Write the audio tower's front end as a `ClapFeatureExtractor` configuration."""
    values = {
        "feature_extractor_type": "ClapFeatureExtractor",
        "feature_size": front_end.n_mels,
        "sampling_rate": front_end.sample_rate,
        "hop_length": front_end.hop_length,
        "fft_window_size": front_end.n_fft,
        "frequency_min": front_end.f_min_hz,
        "frequency_max": front_end.f_max_hz,
        "max_length_s": front_end.window_s,
        "padding": "repeatpad",
        "truncation": "rand_trunc",
        "padding_value": 0.0,
        "top_db": None,
    }
    write_json(folder / "preprocessor_config.json", values)


def read_front_end(folder: Path) -> ClapFrontEnd:
    """Read the front end of a `ClapFeatureExtractor`."""
    values = read_json(folder / "preprocessor_config.json")
    return _parse(
        ClapFrontEnd,
        {
            "sample_rate": values["sampling_rate"],
            "n_fft": values["fft_window_size"],
            "hop_length": values["hop_length"],
            "n_mels": values["feature_size"],
            "f_min_hz": values["frequency_min"],
            "f_max_hz": values["frequency_max"],
            "window_s": values["max_length_s"],
        },
        folder,
    )


class Description(Config):
    """What `latentfoley.json` holds: all that no other file of the layout has a place for."""

    mel: MelConfig = MelConfig()
    phase_iterations: int = Field(default=0, ge=0, le=1000)


def write_description(folder: Path, description: Description) -> None:
    """Write `latentfoley.json`."""
    write_json(folder / "latentfoley.json", description.model_dump())


def read_description(folder: Path) -> Description:
    """Read `latentfoley.json`; a published folder has none and takes the defaults."""
    path = folder / "latentfoley.json"
    return _parse(Description, read_json(path), path) if path.exists() else Description()


def write_index(folder: Path, tokenizer_class: str) -> None:
    """Write `model_index.json`, which tells diffusers what each folder holds."""
    values = {
        "_class_name": "AudioLDMPipeline",
        "_diffusers_version": DIFFUSERS_VERSION,
        "scheduler": ["diffusers", "DDIMScheduler"],
        "text_encoder": ["transformers", "ClapTextModelWithProjection"],
        "tokenizer": ["transformers", tokenizer_class],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
        "vocoder": ["transformers", "SpeechT5HifiGan"],
    }
    write_json(folder / "model_index.json", values)


def read_json(path: Path) -> Json:
    """Read a JSON object.

    Raises:
        ModelError: the file is missing or is not a JSON object.
    """
    if not path.is_file():
        raise ModelError(f"{path} is missing: {path.parent} is not a complete model folder")
    try:
        values: Json = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path} is not valid JSON ({error})") from None
    if not isinstance(values, dict):
        raise ModelError(f"{path} is not a JSON object but a {type(values).__name__}")
    return _Values(values, path)


class _Values(Json):
    """What a JSON file holds; a key that is not there is an error that names the file."""

    def __init__(self, values: Json, path: Path) -> None:
        super().__init__(values)
        self.path = path

    def __missing__(self, key: str) -> NoReturn:
        raise ModelError(f"{self.path} has no '{key}'")


def _parse(kind: type[C], values: Json, where: Path) -> C:
    """Build a config from what a model folder says."""
    try:
        return kind.parse(values, where=str(where))
    except RecipeError as error:
        raise ModelError(str(error)) from None


def write_json(path: Path, values: Json) -> None:
    """Write a JSON object, keys in the order given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def _write(folder: Path, config: Json, file: str, weights: StateDict) -> None:
    write_json(folder / "config.json", config)
    tensors = {key: tensor.detach().contiguous().cpu() for key, tensor in weights.items()}
    save_file(tensors, folder / file, metadata={"format": "pt"})


def _fill(module: M, path: Path, rename: Callable[[str], str] = str) -> M:
    """Load weights strictly, as fp32, and return the module in evaluation mode.

    Raises:
        ModelError: the file is missing or damaged, or its tensors are not those of the module.
    """
    if not path.is_file():
        raise ModelError(f"{path} is missing: {path.parent} is not a complete model folder")
    try:
        weights = {rename(key): tensor for key, tensor in load_file(path).items()}
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path} is damaged or not a safetensors file ({error})") from None
    require_keys(module, weights, path)
    module.load_state_dict({key: tensor.float() for key, tensor in weights.items()})
    return module.eval()


def require_keys(module: nn.Module, weights: StateDict, path: Path) -> None:
    """Check that names and shapes are exactly those of `module`.

    Raises:
        ModelError: lists what is missing, unexpected or of another shape.
    """
    expected = module.state_dict()
    faults = [f"missing: {key}" for key in expected if key not in weights]
    faults += [
        f"unexpected: {key} ({nearest(key, [k for k in expected if k not in weights] or ['none'])})"
        for key in weights
        if key not in expected
    ]
    faults += [
        f"shape of {key}: {tuple(weights[key].shape)}, expected {tuple(tensor.shape)}"
        for key, tensor in expected.items()
        if key in weights and weights[key].shape != tensor.shape
    ]
    if faults:
        shown = "\n  ".join(faults[:10])
        raise ModelError(f"{path} does not fit its config.json, {len(faults)} faults:\n  {shown}")


def as_half(weights: StateDict) -> dict[str, Tensor]:
    """Return the weights with every floating-point tensor in fp16, which halves the file."""
    return {
        key: tensor.to(torch.float16) if tensor.is_floating_point() else tensor
        for key, tensor in weights.items()
    }
