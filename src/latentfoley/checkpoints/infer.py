"""What a checkpoint of the authors is, read off the shapes of its tensors: it has no config.

What shapes cannot say is what the authors' code has fixed: 32 groups per norm, the channels per
head, the vocoder's rates, 64 channels per head of the text tower, a spectrogram of 256 x 256.
"""

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from latentfoley.checkpoints import compat
from latentfoley.checkpoints.compat import Compat
from latentfoley.checkpoints.json_files import Json
from latentfoley.checkpoints.tensors import StateDict
from latentfoley.config import Config, UnetConfig, VaeConfig, VocoderConfig
from latentfoley.errors import ModelError, RecipeError

C = TypeVar("C", bound=Config)

CLAP = "cond_stage_model.model."
FIRST_STAGE = "first_stage_model."
UNET = "model.diffusion_model."


def unet_config(state: StateDict, mode: Compat, where: Path) -> UnetConfig:
    """Return the denoiser's config; halvings tell levels and layers, their blocks the widths."""
    halvings = sorted(_numbers(state, rf"{re.escape(UNET)}input_blocks\.(\d+)\.0\.op\.weight"))
    if not halvings:
        raise ModelError(f"{where} holds no AudioLDM denoiser ({UNET}input_blocks…)")
    period = halvings[0]
    firsts = [1 + level * period for level in range(len(halvings) + 1)]
    widths = [
        _shape(state, f"{UNET}input_blocks.{i}.0.out_layers.3.weight", where, 4)[0] for i in firsts
    ]
    stem = _shape(state, f"{UNET}input_blocks.0.0.weight", where, 4)
    return _build(
        UnetConfig,
        where,
        latent_channels=stem[1],
        block_channels=widths,
        layers_per_block=period - 1,
        heads=compat.heads(compat.PUBLISHED_HEADS, widths, mode).value,
        embedding_dim=_shape(state, f"{UNET}film_emb.weight", where, 2)[1],
    )


def vae_config(state: StateDict, where: Path) -> VaeConfig:
    """Return the first stage's config; its scaling factor is a tensor of the checkpoint."""
    down = rf"{re.escape(FIRST_STAGE)}encoder\.down\."
    levels = len(_numbers(state, down + r"(\d+)\.block\.0\.conv1\.weight"))
    layers = len(_numbers(state, down + r"0\.block\.(\d+)\.conv1\.weight"))
    name = f"{FIRST_STAGE}encoder.down.{{}}.block.0.conv2.weight"
    if "scale_factor" not in state or state["scale_factor"].numel() != 1:
        raise ModelError(f"{where} has no scale_factor, which brings its latents to unit variance")
    return _build(
        VaeConfig,
        where,
        latent_channels=_shape(state, f"{FIRST_STAGE}post_quant_conv.weight", where, 4)[0],
        block_channels=[_shape(state, name.format(level), where, 4)[0] for level in range(levels)],
        layers_per_block=layers,
        scaling_factor=float(state["scale_factor"]),
    )


def vocoder_config(state: StateDict, where: Path) -> VocoderConfig:
    """Return the generator's config: the published rates and kernels, its own width."""
    channels, n_mels, _ = _shape(state, f"{FIRST_STAGE}vocoder.conv_pre.weight", where, 3)
    return _build(VocoderConfig, where, channels=channels, n_mels=n_mels)


def text_config(state: StateDict, mode: Compat, where: Path) -> Json:
    """Return the text tower's config in the words of transformers."""
    branch = f"{CLAP}text_branch."
    vocabulary, width = _shape(state, f"{branch}embeddings.word_embeddings.weight", where, 2)
    inner = _shape(state, f"{branch}encoder.layer.0.intermediate.dense.weight", where, 2)[0]

    def rows(kind: str) -> int:
        return _shape(state, f"{branch}embeddings.{kind}_embeddings.weight", where, 2)[0]

    query = rf"{re.escape(branch)}encoder\.layer\.(\d+)\.attention\.self\.query\.weight"
    return {
        "architectures": ["ClapTextModelWithProjection"],
        "model_type": "clap_text_model",
        "vocab_size": vocabulary,
        "hidden_size": width,
        "num_hidden_layers": len(_numbers(state, query)),
        "num_attention_heads": max(1, width // 64),
        "intermediate_size": inner,
        "max_position_embeddings": rows("position"),
        "type_vocab_size": rows("token_type"),
        "projection_dim": _shape(state, f"{CLAP}text_projection.2.weight", where, 2)[0],
        "projection_hidden_act": "relu",
        "hidden_act": "gelu",
        "layer_norm_eps": compat.TRAINED_EPS if mode == "trained" else compat.PUBLISHED_EPS,
        "pad_token_id": 1,
        "bos_token_id": 0,
        "eos_token_id": 2,
    }


def audio_depths(state: StateDict) -> tuple[int, ...]:
    """Return the blocks per stage of the audio tower; none where the checkpoint has none."""
    layers = rf"{re.escape(CLAP)}audio_branch\.layers\."
    stages = len(_numbers(state, layers + r"(\d+)\.blocks\.0\.attn\.qkv\.weight"))
    blocks = layers + r"{}\.blocks\.(\d+)\.attn\.qkv\.weight"
    return tuple(len(_numbers(state, blocks.replace("{}", str(s)))) for s in range(stages))


def audio_config(state: StateDict, where: Path) -> Json:
    """Return the audio tower's config in the words of transformers."""
    branch, depths = f"{CLAP}audio_branch.", audio_depths(state)
    width, _, patch, _ = _shape(state, f"{branch}patch_embed.proj.weight", where, 4)
    tables = [
        _shape(state, f"{branch}layers.{s}.blocks.0.attn.relative_position_bias_table", where, 2)
        for s in range(len(depths))
    ]
    return {
        "architectures": ["ClapAudioModelWithProjection"],
        "model_type": "clap_audio_model",
        "window_size": round((tables[0][0] ** 0.5 + 1) / 2),
        "num_mel_bins": _shape(state, f"{branch}bn0.weight", where, 1)[0],
        "spec_size": 256,
        "patch_size": patch,
        "patch_stride": [patch, patch],
        "patch_embeds_hidden_size": width,
        "hidden_size": width * 2 ** (len(depths) - 1),
        "depths": list(depths),
        "num_attention_heads": [heads for _, heads in tables],
        "num_hidden_layers": len(depths),
        "projection_dim": _shape(state, f"{CLAP}audio_projection.2.weight", where, 2)[0],
        "projection_hidden_act": "relu",
        "enable_fusion": False,
    }


def _numbers(names: Iterable[str], pattern: str) -> set[int]:
    """Return the numbers that a pattern's one group finds in the names."""
    match: Callable[[str], re.Match[str] | None] = re.compile(pattern).fullmatch
    return {int(found[1]) for found in map(match, names) if found}


def _shape(state: StateDict, name: str, where: Path, n_axes: int) -> tuple[int, ...]:
    """Return the shape of a tensor that must be there, with so many axes."""
    if name not in state or state[name].dim() != n_axes:
        raise ModelError(f"{where} has no usable '{name}': it is no complete AudioLDM checkpoint")
    return tuple(state[name].shape)


def _build(kind: type[C], where: Path, **values: object) -> C:
    try:
        return kind.parse(values, where=str(where))
    except RecipeError as error:
        raise ModelError(str(error)) from None
