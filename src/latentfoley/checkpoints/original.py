"""The authors' checkpoint files ↔ parts of a model.

A `.ckpt` is a torch pickle whose `state_dict` names every tensor of the system. The trainer's files
differ in prefixes and carry more. Reading is strict: every tensor has a place in a network, is in
the list of those that mean nothing here, or is an error; `keymaps.py` says where the places are.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from latentfoley.checkpoints import compat, infer, keymaps, layout, towers
from latentfoley.checkpoints.compat import Compat
from latentfoley.checkpoints.json_files import Json
from latentfoley.checkpoints.keymaps import KeyMap, Slot
from latentfoley.checkpoints.parts import Parts
from latentfoley.checkpoints.tensors import (
    SHOWN,
    StateDict,
    Stored,
    alike,
    read_pickle,
    require_tensors,
)
from latentfoley.config import PUBLISHED_FRONT_END, ScheduleConfig, UnetConfig, VaeConfig
from latentfoley.errors import ModelError
from latentfoley.unet import Unet
from latentfoley.vae import Vae
from latentfoley.vocoder import Vocoder

EMA = "model_ema."

# Tensors that have no place here, and why.
IGNORED = {
    r"betas|(sqrt_)?(recip(m1)?_|one_minus_)?alphas_cumprod(_prev)?|log_one_minus_alphas_cumprod"
    r"|sqrt_(recip|recipm1)_alphas_cumprod|posterior_.*|logvar|lvlb_weights": "the noise schedule",
    r"scale_factor": "read into the VAE's config",
    r"model_ema\.(decay|num_updates)": "how the running mean was made",
    r"first_stage_model\.loss\..*": "the discriminator of the VAE's training",
    r"clap\..*": "the trainer's second CLAP, for validation",
    r"cond_stage_model\.(model\.)?(mel_transform|.*_transform|logit_scale_[at])\b.*": "unused by E",
    r"cond_stage_model\.model\.audio_branch\."
    r"(spectrogram_extractor|logmel_extractor|tscam_conv|head)\..*": "front end, classifier",
    r"cond_stage_model\.model\.audio_branch\..*attn_mask": "follows from the window",
    r".*\.(position_ids|token_type_ids)": "counted, not learned",
}


def open_original(
    path: Path,
    *,
    find_tokenizer: Callable[[], Path],
    mode: Compat = "trained",
    ema: bool = True,
) -> Parts:
    """Open a checkpoint of the authors' inference package or trainer.

    Args:
        path: the .ckpt.
        find_tokenizer: returns the folder of the text tower's tokenizer, which the file lacks.
        mode: which function the weights are for.
        ema: take the running mean of the denoiser's weights where there is one, as the authors'
            code does when it samples.

    Raises:
        ModelError: it is no such checkpoint, or names are missing or unexpected.
    """
    state = read_state(path)
    configs = (infer.unet_config(state, mode, path), infer.vae_config(state, path))
    reader = _Reader(state, path)
    unet_map = unet_map_of(configs[0])
    averaged = ema and any(key.startswith(EMA + "diffusion_model") for key in state)
    parts = Parts(
        where=path,
        unet=reader.take(configs[0], Unet, unet_map, name=ema_name if averaged else str),
        vae=reader.take(configs[1], Vae, vae_map_of(configs[1])),
        vocoder=reader.take(infer.vocoder_config(state, path), Vocoder, keymaps.VOCODER),
        text=reader.take(infer.text_config(state, mode, path), towers.text_network, keymaps.TEXT),
        audio=_take_audio(reader, state, path),
        front_end=PUBLISHED_FRONT_END,
        schedule=ScheduleConfig(),
        about=layout.Description(),
        find_tokenizer=find_tokenizer,
        heads=compat.heads(compat.PUBLISHED_HEADS, list(configs[0].block_channels), mode),
        eps=compat.text_eps(compat.PUBLISHED_EPS, compat.PUBLISHED_HEADS, mode),
    )
    reader.require_all_used()
    return parts


def open_audio(path: Path) -> Stored[Json]:
    """Open the audio tower of a checkpoint alone.

    Raises:
        ModelError: it has none.
    """
    state = read_state(path)
    audio = _take_audio(_Reader(state, path), state, path)
    if audio is None:
        raise ModelError(
            f"{path} has no CLAP audio tower: guiding by a recording and ranking candidates "
            "need one"
        )
    return audio


def _take_audio(reader: "_Reader", state: StateDict, path: Path) -> Stored[Json] | None:
    depths = infer.audio_depths(state)
    if not depths:
        return None
    config = infer.audio_config(state, path)
    return reader.take(config, towers.audio_network, keymaps.audio(depths))


def unet_map_of(config: UnetConfig) -> KeyMap:
    """Return the denoiser's table at its depth."""
    return keymaps.unet(len(config.block_channels), config.layers_per_block)


def vae_map_of(config: VaeConfig) -> KeyMap:
    """Return the first stage's table at its depth."""
    return keymaps.vae(len(config.block_channels), config.layers_per_block)


def ema_name(name: str) -> str:
    """Return what the running mean of a tensor is called: the same without its dots."""
    return EMA + name.removeprefix("model.").replace(".", "")


def read_state(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint by the names of the inference package.

    Raises:
        ModelError: it cannot be read, or holds something else than tensors.
    """
    content = read_pickle(path)
    if isinstance(content, dict):
        content = content.get("state_dict", content)
    state = require_tensors(content, path)
    renamed = {
        key.replace("_orig_mod.", "").replace("cond_stage_models.0.", "cond_stage_model."): tensor
        for key, tensor in state.items()
    }
    return _without_weight_norm(renamed)


def _without_weight_norm(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return plain weights: w = g v / ‖v‖, the norm over all but the first axis."""
    for magnitude, direction in (
        ("weight_g", "weight_v"),
        ("parametrizations.weight.original0", "parametrizations.weight.original1"),
    ):
        for key in [key for key in state if key.endswith(f".{magnitude}")]:
            layer = key.removesuffix(magnitude)
            if layer + direction in state:
                g, v = state.pop(key), state.pop(layer + direction)
                state[f"{layer}weight"] = torch._weight_norm(v, g, 0)
    return state


class _Reader:
    """Takes networks out of a state, and knows what nobody took."""

    def __init__(self, state: StateDict, where: Path) -> None:
        self.state, self.where = state, where
        self.used: set[str] = set()
        self.missing: list[str] = []

    def take(
        self,
        config: Any,
        build: Callable[[Any], nn.Module],
        keys: KeyMap,
        name: Callable[[str], str] = str,
    ) -> Stored[Any]:
        """Return the tensors of one network; `name` may change how the state calls them."""
        with torch.device("meta"):
            expected = build(config).state_dict()
        weights = {}
        for ours, slot in keys.slots(expected).items():
            theirs = name(slot.name)
            # The denoiser is there twice, as running mean and as last weights: one is chosen.
            self.used |= {slot.name, theirs, ema_name(slot.name)}
            if theirs in self.state:
                weights[ours] = _to_ours(self.state[theirs], slot)
            else:
                self.missing.append(theirs)
        return Stored(config, weights, self.where)

    def require_all_used(self) -> None:
        """Check that nothing is missing, and that nothing is left but what means nothing here.

        Raises:
            ModelError: lists both, with the nearest names.
        """
        missing = list(dict.fromkeys(self.missing))
        known = re.compile("|".join(f"(?:{pattern})" for pattern in IGNORED))
        left = [key for key in self.state if key not in self.used and not known.fullmatch(key)]
        faults = [f"missing: {key}" for key in missing[: SHOWN // 2]]
        faults += [f"unexpected: {key}{alike(key, missing)}" for key in left[: SHOWN // 2]]
        if faults:
            raise ModelError(
                f"{self.where} is no AudioLDM checkpoint that is known here: {len(missing)} "
                f"tensors missing, {len(left)} unexpected:\n  " + "\n  ".join(faults)
            )


def _to_ours(tensor: Tensor, slot: Slot) -> Tensor:
    """Return our view of one of their tensors; no bytes are copied."""
    if slot.third is not None:
        tensor = tensor.chunk(3)[slot.third] if tensor.shape[0] % 3 == 0 else tensor
    return tensor.flatten(1) if slot.pointwise else tensor
