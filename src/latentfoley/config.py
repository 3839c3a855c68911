"""What a model is: one frozen description per component; an unknown key is an error.

The values of the published sizes stand in `presets.py`; how they are stored on disk in
`checkpoints/layout.py`. Nothing here touches a tensor.
"""

import math
import reprlib
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    model_validator,
)

from latentfoley.errors import RecipeError, nearest


class Config(BaseModel):
    """Base of every description: immutable, strict about names, with errors that teach."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def parse(cls, values: dict[str, Any], *, where: str) -> Self:
        """Build from plain values; `where` names their origin in the error.

        Raises:
            RecipeError: an unknown key (with the nearest known one), or a value out of range.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            # An unknown key first: a mistyped name is reported as missing as well.
            faults = sorted(error.errors(), key=lambda fault: fault["type"] != "extra_forbidden")
            raise RecipeError(f"{where}: {cls._explain(faults[0])}") from None

    @classmethod
    def _explain(cls, fault: Any) -> str:
        *path, key = fault["loc"] or ("",)
        if fault["type"] == "extra_forbidden":
            kind: Any = cls
            for part in path:
                kind = kind[part] if isinstance(kind, dict) else kind.model_fields[part].annotation
                kind = _members(kind)
            tables = [part for part in path if part not in _VOCODER_KINDS]
            where = f" in [{'.'.join(tables)}]" if tables else ""
            return f"unknown key '{key}'{where}; {nearest(key, kind.model_fields)}"
        name = ".".join(str(part) for part in fault["loc"] if part not in _VOCODER_KINDS)
        if fault["type"] == "missing":
            return f"{name}: {fault['msg']}"
        said = fault["msg"].removeprefix("Value error, ")
        return f"{name}: {said}, got {reprlib.repr(fault['input'])}" if name else said


# Bounds far beyond any model of this kind: a config of 10⁶ layers would be built for minutes first.
Layers = Annotated[int, Field(ge=1, le=64)]
Width = Annotated[int, Field(ge=1, le=65_536)]
Rate = Annotated[int, Field(ge=1, le=768_000)]
Hertz = Annotated[float, Field(ge=0, le=384_000)]
Levels = Field(min_length=1, max_length=10)

_VOCODER_KINDS = ("hifigan", "spectral")


def _members(annotation: Any) -> Any:
    """Return the class that an annotation names; of a union with tags, the classes by tag."""
    # A table that may be left out is a union with None.
    options = [option for option in get_args(annotation) if option is not type(None)]
    tagged = {
        tag.tag: option.__origin__
        for option in options
        for tag in getattr(option, "__metadata__", ())
        if isinstance(tag, Tag)
    }
    return tagged or next(iter(options), annotation)


class MelConfig(Config):
    """The log-mel front end. `framing` says where frame i is centred:

    `trainer`    on sample hop·i + hop/2, N/hop frames: what the VAE and the vocoder are trained on.
    `inference`  on sample hop·i, N/hop + 1 frames: the front end of the AudioLDM inference package.
    """

    sample_rate: Rate = 16_000
    n_fft: Width = 1024
    hop_length: Width = 160
    n_mels: Width = 64
    f_min_hz: Hertz = 0.0
    f_max_hz: Hertz = 8000.0
    framing: Literal["trainer", "inference"] = "trainer"


Resampler = Literal["soxr-hq", "sinc-hann-6"]
"""Ours, and the windowed sinc of torchaudio that AudioLDM's authors put before CLAP."""


class ClapFrontEnd(Config):
    """What the audio tower sees: power mels in dB of windows of one fixed length."""

    sample_rate: Rate = 48_000
    n_fft: Width = 1024
    hop_length: Width = 480
    n_mels: Width = 64
    f_min_hz: Hertz = 50.0
    f_max_hz: Hertz = 14_000.0
    window_s: float = Field(default=10.0, gt=0, le=3600)
    # By which sound is brought to `sample_rate`; a tower is used with the one it was trained with.
    resampler: Resampler = "soxr-hq"
    # How a sound that is shorter than a window fills it: repeated whole and then silent, as the
    # published towers were trained with, or repeated to the end; see docs/decisions/0032.
    padding: Literal["repeatpad", "repeat"] = "repeatpad"

    @property
    def n_samples(self) -> int:
        """Samples in a window."""
        return round(self.window_s * self.sample_rate)

    @property
    def mel(self) -> MelConfig:
        """The same as the configuration of a centred mel."""
        return MelConfig(
            sample_rate=self.sample_rate,
            n_fft=self.n_fft,
            hop_length=self.hop_length,
            n_mels=self.n_mels,
            f_min_hz=self.f_min_hz,
            f_max_hz=self.f_max_hz,
            framing="inference",
        )


PUBLISHED_FRONT_END = ClapFrontEnd(resampler="sinc-hann-6")


class VaeConfig(Config):
    """The first stage. Compression r = patch_size · 2^(levels - 1) in time and in frequency."""

    latent_channels: Width = 8
    block_channels: Annotated[tuple[Width, ...], Levels] = (128, 256, 512)
    layers_per_block: Layers = 2
    norm_groups: Width = 32
    # Side of the patches of the log-mel that are the channels of the first level. Above 1, encoder
    # and decoder add to a linear map of r x r patches; the published models have 1.
    patch_size: int = Field(default=1, ge=1, le=64)
    # z = scaling_factor · (sampled latent): brings the latent to unit variance.
    scaling_factor: float = Field(default=1.0, gt=0, le=1e6)

    @model_validator(mode="after")
    def _check(self) -> Self:
        _require_groups(self.block_channels, self.norm_groups)
        if self.patch_size > 1 and self.latent_channels > self.compression**2:
            raise ValueError(
                f"latent_channels {self.latent_channels} are more than the {self.compression**2} "
                f"values of a patch of {self.compression} x {self.compression}"
            )
        return self

    @property
    def compression(self) -> int:
        """r: mel frames per latent frame, and mel bands per latent band."""
        return int(self.patch_size * 2 ** (len(self.block_channels) - 1))


SMALL = 256  # channels: below, see `UnetConfig.is_small`


class UnetConfig(Config):
    """The denoiser ε_θ(z_n, n, E). `heads` gives the attention heads of each level;
    level 0 has no attention, so its entry is unused and kept only for the published layout."""

    latent_channels: Width = 8
    block_channels: Annotated[tuple[Width, ...], Levels] = (128, 256, 384, 640)
    layers_per_block: Layers = 2
    heads: tuple[Width, ...] = (4, 8, 12, 20)
    embedding_dim: Width = 512
    norm_groups: Width = 32

    @model_validator(mode="after")
    def _check(self) -> Self:
        _require_groups(self.block_channels, self.norm_groups)
        if len(self.heads) != len(self.block_channels):
            raise ValueError(f"heads {self.heads} must have one entry per level")
        for channels, heads in zip(self.block_channels[1:], self.heads[1:], strict=True):
            if channels % heads:
                raise ValueError(f"{channels} channels do not divide into {heads} heads")
        return self

    @property
    def is_small(self) -> bool:
        """Whether a CPU waits for its memory more than for its products (decisions 127, 139)."""
        return max(self.block_channels) < SMALL


def _require_groups(block_channels: tuple[int, ...], norm_groups: int) -> None:
    for channels in block_channels:
        if channels % norm_groups:
            raise ValueError(f"{channels} channels do not divide into {norm_groups} norm_groups")


class SpectralVocoderConfig(Config):
    """The vocoder that ends in an inverse STFT of `n_fft` samples, a multiple of the hop."""

    kind: Literal["spectral"]
    n_mels: Width = 64
    sample_rate: Rate = 16_000
    hop_length: Width = 160
    n_fft: Width = 640
    width: Width = 256
    hidden: Width = 768
    n_blocks: Layers = 6

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.n_fft % (2 * self.hop_length):
            raise ValueError(
                f"n_fft {self.n_fft} must be an even multiple of hop_length {self.hop_length}"
            )
        return self


class VocoderConfig(Config):
    """The HiFi-GAN generator. The product of the rates is the hop length of the mel."""

    n_mels: Width = 64
    sample_rate: Rate = 16_000
    channels: Width = 1024
    upsample_rates: Annotated[tuple[Width, ...], Levels] = (5, 4, 2, 2, 2)
    upsample_kernels: Annotated[tuple[Width, ...], Levels] = (16, 16, 8, 4, 4)
    resblock_kernels: Annotated[tuple[Width, ...], Levels] = (3, 7, 11)
    resblock_dilations: Annotated[tuple[Annotated[tuple[Width, ...], Levels], ...], Levels] = (
        (1, 3, 5),
    ) * 3
    leaky_relu_slope: float = 0.1

    @model_validator(mode="after")
    def _check(self) -> Self:
        for one, other in (
            ("upsample_rates", "upsample_kernels"),
            ("resblock_kernels", "resblock_dilations"),
        ):
            if len(getattr(self, one)) != len(getattr(self, other)):
                raise ValueError(f"{one} and {other} must have as many entries")
        return self

    @property
    def hop_length(self) -> int:
        """Samples to a frame."""
        return math.prod(self.upsample_rates)


def _vocoder_kind(values: Any) -> str:
    """Return which of the two vocoders values describe; HiFi-GAN's have no `kind`."""
    kind = values.get("kind") if isinstance(values, dict) else getattr(values, "kind", None)
    return _VOCODER_KINDS[0] if kind is None else str(kind)


AnyVocoderConfig = Annotated[
    Annotated[VocoderConfig, Tag(_VOCODER_KINDS[0])]
    | Annotated[SpectralVocoderConfig, Tag(_VOCODER_KINDS[1])],
    Discriminator(_vocoder_kind),
]


Dtype = Literal["fp32", "bf16", "int8", "fp16"]
Prediction = Literal["epsilon", "v_prediction"]


class ScheduleConfig(Config):
    """β_n: squares of equally spaced numbers from √beta_start to √beta_end."""

    n_train_steps: int = Field(default=1000, ge=1, le=1_000_000)
    beta_start: float = 0.0015
    beta_end: float = 0.0195
    # What the network predicts: the noise (the published models), or v = α ε - σ z_0.
    prediction: Prediction = "epsilon"


class Usage(Config):
    """How a model's networks are used; published models are used as by default."""

    # Fast Griffin-Lim iterations that mend the vocoder's phases; 0 is the vocoder alone.
    phase_iterations: int = Field(default=0, ge=0, le=1000)


class ModelConfig(Usage):
    """Everything but CLAP, whose towers describe themselves in their own `config.json`."""

    mel: MelConfig = MelConfig()
    vae: VaeConfig = VaeConfig()
    unet: UnetConfig = UnetConfig()
    vocoder: AnyVocoderConfig = VocoderConfig()
    schedule: ScheduleConfig = ScheduleConfig()
