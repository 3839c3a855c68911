"""Parts of a model → what other programs load: a folder for diffusers, or a checkpoint file of the
authors' format with their names, shapes and bytes."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from latentfoley.checkpoints import compat, keymaps
from latentfoley.checkpoints.keymaps import KeyMap
from latentfoley.checkpoints.loudness import FILE as LOUDNESS
from latentfoley.checkpoints.original import ema_name, unet_map_of, vae_map_of
from latentfoley.checkpoints.parts import Parts, write_folder
from latentfoley.checkpoints.tensors import Stored
from latentfoley.config import ScheduleConfig, VocoderConfig
from latentfoley.errors import ModelError
from latentfoley.files import aside


def write_for_diffusers(parts: Parts, out: Path) -> int:
    """Write a folder that diffusers loads as the same function, and return its bytes.

    Raises:
        ModelError: something is there already, or diffusers has no class for the vocoder.
    """
    if not isinstance(parts.vocoder.config, VocoderConfig):
        raise ModelError(
            f"{parts.where} cannot be loaded by diffusers, which has no class for a vocoder of "
            "spectra; its folder is whole as it is, for every command here"
        )
    return write_folder(parts, out)


def write_original(parts: Parts, out: Path) -> int:
    """Write a `.ckpt` and return its bytes.

    The denoiser stands in it twice, as last weights and as their running mean, but its bytes once:
    the authors' code samples with the mean and trains on from the last. What their code derives
    (attention masks, front ends) or does not use (the `*_transform` layers) is left out.

    Raises:
        ModelError: the file exists already, or the format cannot say what this model is.
    """
    if out.exists():
        raise ModelError(f"{out} exists already; give the name of a new file")
    _require_expressible(parts)
    state = _state(parts)
    with aside(out) as part:
        torch.save({"state_dict": state}, part)
    return out.stat().st_size


def _require_expressible(parts: Parts) -> None:
    """Check what the format has no place for, because the authors' code has it fixed."""
    unet, vae, vocoder = parts.unet.config, parts.vae.config, parts.vocoder.config
    widths = list(unet.block_channels)
    trained = compat.heads(compat.PUBLISHED_HEADS, widths, "trained").value
    same = isinstance(vocoder, VocoderConfig) and vocoder == VocoderConfig(
        channels=vocoder.channels, n_mels=vocoder.n_mels
    )
    reasons = {
        f"heads {unet.heads}, not {tuple(trained)}": list(unet.heads[1:]) != trained[1:],
        "norms of other than 32 groups": {unet.norm_groups, vae.norm_groups} != {32},
        "a vocoder of other rates or kernels": not same,
        "a network that predicts v": parts.schedule.prediction != "epsilon",
        "Griffin-Lim after the vocoder": parts.about.phase_iterations > 0,
        "a loudness head": (parts.where / LOUDNESS).is_file(),
    }
    if faults := [reason for reason, holds in reasons.items() if holds]:
        raise ModelError(
            f"{parts.where} cannot be a .ckpt of the authors' format, which has no place for "
            f"{', '.join(faults)}; a folder has (`--to diffusers`, or as it is)"
        )


def _state(parts: Parts) -> dict[str, Tensor]:
    denoiser = _named(parts.unet, unet_map_of(parts.unet.config))
    state = schedule_buffers(parts.schedule)
    state["scale_factor"] = torch.tensor(parts.vae.config.scaling_factor, dtype=torch.float32)
    state |= denoiser
    state |= {ema_name(name): tensor for name, tensor in denoiser.items()}
    state["model_ema.decay"] = torch.tensor(0.9999)
    state["model_ema.num_updates"] = torch.tensor(0, dtype=torch.int32)
    state |= _named(parts.vae, vae_map_of(parts.vae.config))
    state |= _named(parts.vocoder, keymaps.VOCODER)
    state |= _named(parts.text, keymaps.TEXT)
    if parts.audio is not None:
        state |= _named(parts.audio, keymaps.audio(tuple(parts.audio.config["depths"])))
    return state


def _named(stored: Stored[Any], keys: KeyMap) -> dict[str, Tensor]:
    """Return a network's tensors by the authors' names, in their shapes."""
    whole: dict[str, Tensor] = {}
    thirds: dict[str, list[Tensor]] = {}
    for ours, slot in keys.slots(stored.weights).items():
        tensor = stored.weights[ours]
        if slot.third is not None:
            thirds.setdefault(slot.name, [tensor] * 3)[slot.third] = tensor
        else:
            whole[slot.name] = tensor[..., None, None] if slot.pointwise else tensor
    return whole | {name: torch.cat(three) for name, three in thirds.items()}


def schedule_buffers(config: ScheduleConfig) -> dict[str, Tensor]:
    """Return the tables of the noise schedule that the authors' files carry (DDPM, eq. 6-7)."""
    ends = config.beta_start**0.5, config.beta_end**0.5
    beta = np.linspace(*ends, config.n_train_steps) ** 2
    alpha_bar = np.cumprod(1 - beta)
    before = np.append(1.0, alpha_bar[:-1])
    variance = beta * (1 - before) / (1 - alpha_bar)
    tables = {
        "betas": beta,
        "alphas_cumprod": alpha_bar,
        "alphas_cumprod_prev": before,
        "sqrt_alphas_cumprod": np.sqrt(alpha_bar),
        "sqrt_one_minus_alphas_cumprod": np.sqrt(1 - alpha_bar),
        "log_one_minus_alphas_cumprod": np.log(1 - alpha_bar),
        "sqrt_recip_alphas_cumprod": np.sqrt(1 / alpha_bar),
        "sqrt_recipm1_alphas_cumprod": np.sqrt(1 / alpha_bar - 1),
        "posterior_variance": variance,
        "posterior_log_variance_clipped": np.log(np.maximum(variance, 1e-20)),
        "posterior_mean_coef1": beta * np.sqrt(before) / (1 - alpha_bar),
        "posterior_mean_coef2": (1 - before) * np.sqrt(1 - beta) / (1 - alpha_bar),
        "logvar": np.zeros(config.n_train_steps),
    }
    return {name: torch.from_numpy(table).float() for name, table in tables.items()}
