"""The two CLAP towers on disk, in the files of `transformers`, filled as strictly as ours.

Their `config.json` is that of transformers, so their config stays a plain dictionary here.
"""

import reprlib
from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError
from torch import nn

from latentfoley.checkpoints.json_files import Json, read_json
from latentfoley.checkpoints.kinds import TRANSFORMERS_WEIGHTS
from latentfoley.checkpoints.layout import read_weights
from latentfoley.checkpoints.tensors import Stored
from latentfoley.clap_text import TextConfig, TextNetwork
from latentfoley.errors import ModelError


def open_text(folder: Path) -> Stored[Json]:
    """Open `text_encoder/` of a model folder as its config describes it."""
    return _open(folder / "text_encoder", "clap_text_model")


def open_audio(folder: Path) -> Stored[Json]:
    """Open `audio_encoder/` of a model folder.

    Raises:
        ModelError: the folder has no audio tower, as the published ones have not.
    """
    if not (folder / "audio_encoder").is_dir():
        raise ModelError(
            f"{folder} has no CLAP audio tower (audio_encoder/): guiding by a recording and "
            "ranking candidates need one"
        )
    return _open(folder / "audio_encoder", "clap_audio_model")


def open_both(folder: Path) -> tuple[Stored[Json], Stored[Json]]:
    """Open the audio and the text tower of a folder in which transformers keeps a `ClapModel`.

    Raises:
        ModelError: it holds something else.
    """
    config = read_json(folder / "config.json")
    if config["model_type"] != "clap":
        raise ModelError(f"{folder} holds a {config['model_type']!r}, not a CLAP")
    weights = read_weights(folder, TRANSFORMERS_WEIGHTS)
    audio, text = (
        Stored(
            {**config[f"{part}_config"], "projection_dim": config.get("projection_dim", 512)},
            {name: x for name, x in weights.items() if name.startswith(f"{part}_")},
            folder,
        )
        for part in ("audio", "text")
    )
    return audio, text


def _open(folder: Path, model_type: str) -> Stored[Json]:
    if not folder.is_dir():
        raise ModelError(f"{folder} is missing: {folder.parent} is not a complete model folder")
    config = read_json(folder / "config.json")
    if config["model_type"] != model_type:
        given = config["model_type"]
        raise ModelError(
            f"{folder / 'config.json'}: model_type is {given!r}, only {model_type!r} is supported"
        )
    return Stored(dict(config), read_weights(folder, TRANSFORMERS_WEIGHTS), folder)


def with_eps(text: Stored[Json], eps: float) -> Stored[Json]:
    """Return the text tower with another LayerNorm ε."""
    return replace(text, config={**text.config, "layer_norm_eps": eps})


def text_network(config: Json) -> nn.Module:
    """Return a text tower with its projection, as its config describes it."""
    _require_bounded(config)
    try:
        return TextNetwork(TextConfig.model_validate(config))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ModelError(
            f"a {config.get('model_type')} cannot be built: {where} {first['msg']}"
        ) from None


def audio_network(config: Json) -> nn.Module:
    """Return an audio tower with its projection, as its config describes it."""
    from transformers import ClapAudioConfig, ClapAudioModelWithProjection

    _require_bounded(config)
    try:
        model: nn.Module = ClapAudioModelWithProjection(ClapAudioConfig(**config))
    except Exception as error:  # transformers lets through whatever its checks raise
        raise ModelError(f"a {config.get('model_type')} cannot be built: {error}") from None
    return model


_MOST_LAYERS, _MOST_WIDTH = 128, 1_000_000  # a config of 10⁶ layers would be built for minutes


def _require_bounded(config: Json) -> None:
    """Refuse sizes far beyond any tower.

    Raises:
        ModelError: names the key.
    """
    for key, value in config.items():
        most = _MOST_LAYERS if key in ("num_hidden_layers", "depths") else _MOST_WIDTH
        for number in value if isinstance(value, list) else [value]:
            if isinstance(number, int) and number > most:
                raise ModelError(
                    f"{config.get('model_type')}: {key} is {reprlib.repr(value)}; allowed: up to "
                    f"{most:,}"
                )
