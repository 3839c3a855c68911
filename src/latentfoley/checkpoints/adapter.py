"""LoRA adapters on disk, in the form of peft, and merged into the weights of a denoiser.

    adapter_config.json         rank r, α, and the names of the layers
    adapter_model.safetensors   base_model.model.LAYER.lora_A.weight (r, in) and
                                base_model.model.LAYER.lora_B.weight (out, r)

Whatever peft can say beside that (other ranks per layer, DoRA, biases …) is refused rather than
left out: it would be another function.
"""

import contextlib
import re
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from latentfoley.checkpoints.json_files import Json, read_json, write_json
from latentfoley.checkpoints.tensors import (
    SHOWN,
    Stored,
    alike,
    hash_file,
    read_tensors,
    write_tensors,
)
from latentfoley.config import UnetConfig
from latentfoley.errors import ModelError, nearest_files
from latentfoley.lora import Adapter

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_PREFIX = "base_model.model."

# What has to be so, where a config says anything of it.
_PLAIN: Json = {
    "peft_type": "LORA",
    "bias": "none",
    "fan_in_fan_out": False,
    "use_rslora": False,
    "use_dora": False,
    "modules_to_save": None,
    "rank_pattern": {},
    "alpha_pattern": {},
    "layers_to_transform": None,
    "exclude_modules": None,
}
_MOST_ALPHA = 1e6


@dataclass(frozen=True)
class StoredAdapter:
    """An adapter on disk: A and B of each layer, by its name, and α/r.

    `targets` are the names of the layers that it adapts, or their last parts, or one regular
    expression for whole names.
    """

    where: Path
    scale: float
    targets: tuple[str, ...] | str
    pairs: Mapping[str, tuple[Tensor, Tensor]]

    @property
    def hash(self) -> str:
        """The first 16 hexadecimal digits of the SHA-256 of its weights."""
        return hash_file(self.where / WEIGHTS)[:16]

    def merge(self, unet: Stored[UnetConfig]) -> Stored[UnetConfig]:
        """Return the denoiser with W + (α/r) B A in place of W, in fp32.

        Raises:
            ModelError: a layer is not there or has another size, or one of the layers that the
                adapter says it adapts has no weights in it.
        """
        merged = {f"{layer}.weight": self._merged(unet, layer) for layer in self.pairs}
        self._require_whole(unet)
        return replace(unet, weights={**unet.weights, **merged})

    def _require_whole(self, unet: Stored[UnetConfig]) -> None:
        linear = (k.removesuffix(".weight") for k, W in unet.weights.items() if W.dim() == 2)
        wanted = [layer for layer in linear if self._adapts(layer)]
        missing = [layer for layer in wanted if layer not in self.pairs]
        if missing or not wanted:
            shown = ", ".join(missing[:SHOWN]) + (" …" if len(missing) > SHOWN else "")
            raise ModelError(
                f"{self.where} holds {len(wanted) - len(missing)} of the {len(wanted)} layers that "
                f"its {CONFIG} names in this model; missing: {shown or self.targets}"
            )

    def _adapts(self, layer: str) -> bool:
        if isinstance(self.targets, str):
            return re.fullmatch(self.targets, layer) is not None
        return any(layer == name or layer.endswith(f".{name}") for name in self.targets)

    def _merged(self, unet: Stored[UnetConfig], layer: str) -> Tensor:
        A, B = (matrix.float() for matrix in self.pairs[layer])
        W = unet.weights.get(f"{layer}.weight")
        if W is None:
            names = [key.removesuffix(".weight") for key in unet.weights]
            raise ModelError(
                f"{self.where} adapts the layer '{layer}', which the model does not have"
                f"{alike(layer, names)}"
            )
        if W.shape != (B.shape[0], A.shape[1]):
            raise ModelError(
                f"{self.where} adapts '{layer}' as {(B.shape[0], A.shape[1])}, the model has it as "
                f"{tuple(W.shape)}: it was made for another model"
            )
        return W.float() + self.scale * (B @ A)


def write_adapter(
    folder: Path,
    adapters: Mapping[str, Adapter],
    *,
    alpha: float,
    targets: tuple[str, ...],
    trained_from: str,
) -> None:
    """Write adapters, by the name of their layer, as peft reads them."""
    rank = next(iter(adapters.values())).lora_A.out_features
    values = {
        **_PLAIN,
        "base_model_name_or_path": trained_from,
        "r": rank,
        "lora_alpha": alpha,
        "lora_dropout": 0.0,
        "target_modules": list(targets),
        "task_type": None,
        "inference_mode": True,
    }
    write_json(folder / CONFIG, values)
    tensors = {
        f"{_PREFIX}{layer}.{name}": tensor
        for layer, adapter in adapters.items()
        for name, tensor in adapter.state_dict().items()
    }
    write_tensors(folder / WEIGHTS, tensors)


def read_adapter(folder: Path) -> StoredAdapter:
    """Read an adapter that was trained here or by peft.

    Raises:
        ModelError: it is no adapter, is damaged, or is more than plain LoRA of linear layers.
    """
    if not (folder / CONFIG).is_file():
        hint = nearest_files(folder) if not folder.exists() else ""
        raise ModelError(f"'{folder}' holds no {CONFIG}: give the folder of a LoRA adapter.{hint}")
    values = read_json(folder / CONFIG)
    for key, plain in _PLAIN.items():
        given = values.get(key) or plain
        if given != plain:
            raise ModelError(f"{folder / CONFIG}: {key} is {given!r}, only {plain!r} is supported")
    rank, alpha = values["r"], values["lora_alpha"]
    if not (isinstance(rank, int) and rank >= 1):
        raise ModelError(f"{folder / CONFIG}: r is {rank!r}; allowed: a whole number from 1 on")
    if not (isinstance(alpha, int | float) and abs(alpha) <= _MOST_ALPHA):
        shown = reprlib.repr(alpha)
        raise ModelError(
            f"{folder / CONFIG}: lora_alpha is {shown}; allowed: a number up to {_MOST_ALPHA:g}"
        )
    pairs = _pairs(read_tensors(folder / WEIGHTS), folder)
    return StoredAdapter(
        folder, alpha / rank, _targets(values.get("target_modules"), folder), pairs
    )


def _targets(given: object, folder: Path) -> tuple[str, ...] | str:
    """Return what `target_modules` says, a list of names or a regular expression."""
    if isinstance(given, list) and given and all(isinstance(name, str) for name in given):
        return tuple(given)
    with contextlib.suppress(re.error):
        if isinstance(given, str) and re.compile(given):
            return given
    raise ModelError(
        f"{folder / CONFIG}: target_modules is {reprlib.repr(given)}; allowed: a list of names, or "
        "a regular expression"
    )


def _pairs(weights: Mapping[str, Tensor], folder: Path) -> dict[str, tuple[Tensor, Tensor]]:
    """Return A and B of every layer.

    Raises:
        ModelError: a tensor that is neither, or whose other half is missing.
    """
    found: dict[str, dict[str, Tensor]] = {}
    for key, tensor in weights.items():
        layer, _, half = key.removeprefix(_PREFIX).removesuffix(".weight").rpartition(".")
        if half not in ("lora_A", "lora_B") or tensor.dim() != 2 or not key.startswith(_PREFIX):
            raise ModelError(
                f"{folder / WEIGHTS}: '{key}' {tuple(tensor.shape)} is no half of a plain LoRA"
            )
        found.setdefault(layer, {})[half] = tensor
    for layer, halves in found.items():
        if len(halves) < 2 or halves["lora_A"].shape[0] != halves["lora_B"].shape[1]:
            raise ModelError(f"{folder / WEIGHTS}: A and B of '{layer}' do not match")
    return {layer: (halves["lora_A"], halves["lora_B"]) for layer, halves in found.items()}
