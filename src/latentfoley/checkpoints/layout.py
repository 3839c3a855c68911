"""A model as a folder, in the layout of diffusers' AudioLDMPipeline.

    model_index.json        which class each folder holds
    unet/ vae/ vocoder/     config.json + one .safetensors (or, in older folders, .bin) file
    text_encoder/           CLAP's text tower and projection (transformers)
    tokenizer/              the text tower's tokenizer
    scheduler/              the noise schedule
    audio_encoder/          CLAP's audio tower and projection; diffusers has no place for it
    feature_extractor/      the front end of that tower
    latentfoley.json        what no other file can say: front end, phases

`kinds.py` says how each network is described, `tensors.py` how weights are read. Loading is strict:
a missing or unexpected tensor is an error that names it.
"""

from pathlib import Path

from latentfoley.checkpoints import compat
from latentfoley.checkpoints.compat import Compat
from latentfoley.checkpoints.json_files import Json, parse, read_json, write_json
from latentfoley.checkpoints.kinds import (
    DIFFUSERS_VERSION,
    DIFFUSERS_WEIGHTS,
    PATCH_VAE,
    SPECTRAL_VOCODER,
    TRANSFORMERS_WEIGHTS,
    UNET,
    VAE,
    VOCODER,
)
from latentfoley.checkpoints.tensors import StateDict, Stored, read_tensors
from latentfoley.config import (
    AnyVocoderConfig,
    ClapFrontEnd,
    MelConfig,
    ScheduleConfig,
    SpectralVocoderConfig,
    UnetConfig,
    Usage,
    VaeConfig,
)
from latentfoley.errors import ModelError
from latentfoley.spectral_vocoder import SpectralVocoder, build_vocoder
from latentfoley.vae import Vae
from latentfoley.vocoder import Vocoder

HIFIGAN, SPECTRAL = "SpeechT5HifiGan", "SpectralVocoder"  # classes of the vocoder's folder
AUTOENCODER, PATCHES = "AutoencoderKL", "PatchAutoencoderKL"  # and of the VAE's

# What the attention of the VAE was called when the published files were written.
_OLD_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}


def write_vae(folder: Path, config: VaeConfig, weights: StateDict) -> None:
    """Write the first stage, of either kind."""
    (VAE if config.patch_size == 1 else PATCH_VAE).write(folder, config, weights)


def write_unet(folder: Path, config: UnetConfig, weights: StateDict) -> None:
    """Write the denoiser, its heads level by level."""
    UNET.write(folder, config, weights)


def write_vocoder(folder: Path, config: AnyVocoderConfig, weights: StateDict) -> None:
    """Write the generator, of either kind."""
    if isinstance(config, SpectralVocoderConfig):
        SPECTRAL_VOCODER.write(folder, config, weights)
    else:
        VOCODER.write(folder, config, weights)


def open_vae(folder: Path) -> Stored[VaeConfig]:
    """Open the first stage; the published files use older names for its attention."""
    of_patches = read_json(folder / "config.json").get("_class_name") == PATCHES
    config = (PATCH_VAE if of_patches else VAE).read(folder)
    weights = read_weights(folder, DIFFUSERS_WEIGHTS)
    return Stored(config, {_new_attention(k): t for k, t in weights.items()}, folder)


def open_unet(folder: Path, mode: Compat = "trained") -> Stored[UnetConfig]:
    """Open the denoiser with the heads that `compat.heads` decides on."""

    def adapt(values: Json) -> Json:
        chosen = compat.heads(values["heads"], values["block_channels"], mode)
        return {**values, "heads": chosen.value}

    return Stored(UNET.read(folder, adapt), read_weights(folder, DIFFUSERS_WEIGHTS), folder)


def open_vocoder(folder: Path) -> Stored[AnyVocoderConfig]:
    """Open the generator, of the kind that its config.json names."""
    spectral = read_json(folder / "config.json").get("architectures") == [SPECTRAL]
    config = SPECTRAL_VOCODER.read(folder) if spectral else VOCODER.read(folder)
    return Stored(config, read_weights(folder, TRANSFORMERS_WEIGHTS), folder)


def read_vae(folder: Path) -> Vae:
    """Read the first stage, in fp32."""
    return open_vae(folder).fill(Vae)


def read_vocoder(folder: Path) -> Vocoder | SpectralVocoder:
    """Read the generator, in fp32."""
    return open_vocoder(folder).fill(build_vocoder)


def _new_attention(key: str) -> str:
    before, dot, name = key.partition(".attentions.0.")
    layer, _, kind = name.rpartition(".")
    return f"{before}{dot}{_OLD_ATTENTION.get(layer, layer)}.{kind}" if dot else key


def read_weights(folder: Path, file: str) -> StateDict:
    """Return the tensors of a component: the .safetensors file, or the older .bin.

    Raises:
        ModelError: there is neither, or it cannot be read.
    """
    stem = "pytorch_model" if file == TRANSFORMERS_WEIGHTS else file.partition(".")[0]
    older = folder / f"{stem}.bin"
    return read_tensors(
        older if older.is_file() and not (folder / file).exists() else folder / file
    )


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
    return parse(
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
        "padding": front_end.padding,
        "truncation": "rand_trunc",
        "padding_value": 0.0,
        "top_db": None,
        "resampler": front_end.resampler,
    }
    write_json(folder / "preprocessor_config.json", values)


def read_front_end(folder: Path) -> ClapFrontEnd:
    """Read the front end of a `ClapFeatureExtractor`."""
    values = read_json(folder / "preprocessor_config.json")
    return parse(
        ClapFrontEnd,
        {
            "sample_rate": values["sampling_rate"],
            "n_fft": values["fft_window_size"],
            "hop_length": values["hop_length"],
            "n_mels": values["feature_size"],
            "f_min_hz": values["frequency_min"],
            "f_max_hz": values["frequency_max"],
            "window_s": values["max_length_s"],
            "padding": values.get("padding", "repeatpad"),
            "resampler": values.get("resampler", "soxr-hq"),
        },
        folder,
    )


DESCRIPTION = "latentfoley.json"


class Description(Usage):
    """What `latentfoley.json` holds: all that no other file of the layout has a place for.

    Attributes:
        mel: the front end of the VAE.
        trained_from: the model whose weights training began with, and its hash; "" for none.
        licence: that of `trained_from`, which its offspring inherits.
        training: the steps of the run that the denoiser is from, session by session, and what was
            changed in the recipe between them; empty for none.
    """

    mel: MelConfig = MelConfig()
    trained_from: str = ""
    licence: str = ""
    training: tuple[str, ...] = ()


def write_description(folder: Path, description: Description) -> None:
    """Write `latentfoley.json`."""
    write_json(folder / DESCRIPTION, description.model_dump())


def read_description(folder: Path) -> Description:
    """Read `latentfoley.json`; a published folder has none and takes the defaults."""
    path = folder / DESCRIPTION
    return parse(Description, read_json(path), path) if path.exists() else Description()


def write_index(
    folder: Path,
    tokenizer_class: str,
    vae: VaeConfig | None = None,
    vocoder: AnyVocoderConfig | None = None,
) -> None:
    """Write `model_index.json`, which tells diffusers what each folder holds.

    diffusers has no class for a spectral vocoder nor for a VAE of patches, and says so when it is
    asked to load one.
    """
    of_patches = vae is not None and vae.patch_size > 1
    spectral = isinstance(vocoder, SpectralVocoderConfig)
    values = {
        "_class_name": "AudioLDMPipeline",
        "_diffusers_version": DIFFUSERS_VERSION,
        "scheduler": ["diffusers", "DDIMScheduler"],
        "text_encoder": ["transformers", "ClapTextModelWithProjection"],
        "tokenizer": ["transformers", tokenizer_class],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["latentfoley", PATCHES] if of_patches else ["diffusers", AUTOENCODER],
        "vocoder": ["latentfoley", SPECTRAL] if spectral else ["transformers", HIFIGAN],
    }
    write_json(folder / "model_index.json", values)


# Any tokenizer and any scheduler will do: of the latter only the schedule is read.
_CLASSES = {
    "text_encoder": "ClapTextModelWithProjection",
    "unet": "UNet2DConditionModel",
    "vae": AUTOENCODER,
    "vocoder": HIFIGAN,
}
_OURS = {"vae": PATCHES, "vocoder": SPECTRAL}


def require_classes(folder: Path) -> None:
    """Check that `model_index.json` names the parts of an AudioLDM.

    Raises:
        ModelError: names the class that has no place here.
    """
    path = folder / "model_index.json"
    values = read_json(path)
    given = {"_class_name": values.get("_class_name")}
    given |= {part: (values.get(part) or [None])[-1] for part in _CLASSES}
    for part, expected in {"_class_name": "AudioLDMPipeline", **_CLASSES}.items():
        if given[part] not in (expected, _OURS.get(part), None):
            raise ModelError(f"{path}: {part} is {given[part]!r}, only {expected!r} is supported")
