"""The three networks of ours as diffusers and transformers describe them in `config.json`.

Each is a table: the published names of our config's fields, and the settings that our networks
take for granted. Any other value of those is an error, since it would be another function.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Generic, TypeVar

from latentfoley.checkpoints.json_files import Json, parse, read_json, write_json
from latentfoley.checkpoints.tensors import StateDict, write_tensors
from latentfoley.config import (
    Config,
    SpectralVocoderConfig,
    UnetConfig,
    VaeConfig,
    VocoderConfig,
)
from latentfoley.errors import ModelError

DIFFUSERS_WEIGHTS = "diffusion_pytorch_model.safetensors"
TRANSFORMERS_WEIGHTS = "model.safetensors"
DIFFUSERS_VERSION = "0.42.1"  # the version this layout was checked against

C = TypeVar("C", bound=Config)


@dataclass(frozen=True)
class Kind(Generic[C]):
    """How one network's config is written: field names, constants, and what depends on them."""

    config: type[C]
    file: str
    fields: dict[str, str]
    constants: Json
    stated: Json = field(default_factory=dict)  # written, but without influence on the function
    derived: Callable[[C], Json] = lambda config: {}

    def write(self, folder: Path, config: C, weights: StateDict) -> None:
        """Write config.json and the weights."""
        values = config.model_dump(mode="json")
        named = {theirs: values[ours] for ours, theirs in self.fields.items()}
        settings = {**self.constants, **self.stated, **self.derived(config), **named}
        write_json(folder / "config.json", settings)
        write_tensors(folder / self.file, weights)

    def read(self, folder: Path, adapt: Callable[[Json], Json] = lambda values: values) -> C:
        """Read config.json; `adapt` may change our fields before they are validated.

        Raises:
            ModelError: a class or setting that our network does not have, or a missing entry.
        """
        path = folder / "config.json"
        values = read_json(path)
        _require(values, self.constants, path)
        named = {ours: values[theirs] for ours, theirs in self.fields.items()}
        config = parse(self.config, adapt(named), folder)
        _require(values, self.derived(config), path)
        return config


def _require(values: Json, expected: Json, path: Path) -> None:
    """Check that settings which are written down are those that our network has built in."""
    for key, value in expected.items():
        if values.get(key, value) != value:
            raise ModelError(f"{path}: {key} is {values[key]!r}, only {value!r} is supported")


VAE = Kind(
    VaeConfig,
    DIFFUSERS_WEIGHTS,
    fields={
        "latent_channels": "latent_channels",
        "block_channels": "block_out_channels",
        "layers_per_block": "layers_per_block",
        "norm_groups": "norm_num_groups",
        "scaling_factor": "scaling_factor",
    },
    constants={
        "_class_name": "AutoencoderKL",
        "act_fn": "silu",
        "in_channels": 1,
        "out_channels": 1,
    },
    stated={"_diffusers_version": DIFFUSERS_VERSION, "sample_size": 512},
    derived=lambda config: {
        "down_block_types": ["DownEncoderBlock2D"] * len(config.block_channels),
        "up_block_types": ["UpDecoderBlock2D"] * len(config.block_channels),
    },
)

# The same on patches of the log-mel, for which diffusers has no class.
PATCH_VAE = replace(
    VAE,
    fields=VAE.fields | {"patch_size": "patch_size"},
    constants=VAE.constants | {"_class_name": "PatchAutoencoderKL"},
)

# diffusers reads `attention_head_dim` as the number of heads per level, in spite of its name.
UNET = Kind(
    UnetConfig,
    DIFFUSERS_WEIGHTS,
    fields={
        "latent_channels": "in_channels",
        "block_channels": "block_out_channels",
        "layers_per_block": "layers_per_block",
        "heads": "attention_head_dim",
        "embedding_dim": "projection_class_embeddings_input_dim",
        "norm_groups": "norm_num_groups",
    },
    constants={
        "_class_name": "UNet2DConditionModel",
        "act_fn": "silu",
        "center_input_sample": False,
        "class_embed_type": "simple_projection",
        "class_embeddings_concat": True,
        "flip_sin_to_cos": True,
        "freq_shift": 0,
        "mid_block_type": "UNetMidBlock2DCrossAttn",
        "norm_eps": 1e-5,
        "use_linear_projection": False,
    },
    stated={"_diffusers_version": DIFFUSERS_VERSION, "sample_size": 128},
    derived=lambda config: {
        "out_channels": config.latent_channels,
        "cross_attention_dim": list(config.block_channels),
        "down_block_types": ["DownBlock2D", *["CrossAttnDownBlock2D"] * _lower(config)],
        "up_block_types": [*["CrossAttnUpBlock2D"] * _lower(config), "UpBlock2D"],
    },
)

VOCODER = Kind(
    VocoderConfig,
    TRANSFORMERS_WEIGHTS,
    fields={
        "n_mels": "model_in_dim",
        "sample_rate": "sampling_rate",
        "channels": "upsample_initial_channel",
        "upsample_rates": "upsample_rates",
        "upsample_kernels": "upsample_kernel_sizes",
        "resblock_kernels": "resblock_kernel_sizes",
        "resblock_dilations": "resblock_dilation_sizes",
        "leaky_relu_slope": "leaky_relu_slope",
    },
    constants={"architectures": ["SpeechT5HifiGan"], "normalize_before": False},
    stated={"model_type": "hifigan", "initializer_range": 0.01},
)

SPECTRAL_VOCODER = Kind(
    SpectralVocoderConfig,
    TRANSFORMERS_WEIGHTS,
    fields={name: name for name in SpectralVocoderConfig.model_fields},
    constants={"architectures": ["SpectralVocoder"]},
)


def _lower(config: UnetConfig) -> int:
    """Return the number of levels below the first: those with attention."""
    return len(config.block_channels) - 1
