"""Weights on disk ↔ tensors: read when touched, never as code, and only where every name fits.

Files are mapped into memory, and networks are built without storage and given the mapped tensors:
a model is never in memory twice. A pickle is read by torch's restricted reader, with no way round
it. It does not know what the tensors are for: `layout.py` and `original.py` do.
"""

import json
import os
import pickle
import re
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from hashlib import sha256
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from latentfoley.errors import ModelError
from latentfoley.pages import give_back

StateDict = Mapping[str, Tensor]
M = TypeVar("M", bound=nn.Module)
C = TypeVar("C")

SHOWN = 10  # faults in one message
PICKLES = (".bin", ".ckpt", ".pt", ".pth")

# Counted, not learned: files may leave them out.
_OPTIONAL: dict[str, Callable[[Tensor], Tensor]] = {
    "position_ids": lambda like: torch.arange(like.numel()).reshape(like.shape),
    "token_type_ids": lambda like: torch.zeros(like.shape, dtype=torch.long),
    "mean": lambda like: torch.zeros(like.shape),
    "scale": lambda like: torch.ones(like.shape),
}


@dataclass(frozen=True)
class Stored(Generic[C]):
    """A component on disk: what it is, its tensors, and where they are, for messages."""

    config: C
    weights: StateDict
    where: Path

    def fill(self, build: Callable[[C], M], dtype: torch.dtype = torch.float32) -> M:
        """Return the network that `build` makes of the config, with these weights.

        Raises:
            ModelError: the tensors are not those of the network.
        """
        with torch.device("meta"):
            module = build(self.config)
        return fill(module, self.weights, self.where, dtype)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a .safetensors file, or of a torch pickle that holds nothing else.

    Raises:
        ModelError: the file is missing, damaged, or holds something else than tensors.
    """
    if path.suffix in PICKLES:
        return require_tensors(read_pickle(path), path)
    if not path.is_file():
        raise ModelError(f"{path} is missing: {path.parent} is not a complete model folder")
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path} is damaged or not a safetensors file ({error})") from None


def read_pickle(path: Path) -> Any:
    """Return what a torch file holds: tensors and plain values, by the restricted reader only.

    Raises:
        ModelError: it is no torch file, is damaged, or names anything that could run.
    """
    _require_archive(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        raise ModelError(f"{path} is refused: {_suspect(str(error))}") from None
    except Exception as error:  # the reader lets through whatever damaged bytes lead to
        reason = str(error).partition("\n")[0]
        raise ModelError(f"{path} is damaged ({type(error).__name__}: {reason})") from None


def _require_archive(path: Path) -> None:
    """Check the container: a whole zip archive that stores its entries as they are."""
    if not path.is_file():
        raise ModelError(f"there is no file '{path}'")
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise ModelError(
            f"{path} is truncated or no torch file ({error}): files of torch 1.6 and later are "
            "zip archives. An older file can be saved again with torch.save"
        ) from None
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise ModelError(f"{path} is refused: torch stores tensors as they are, this is compressed")


def _suspect(message: str) -> str:
    """Return what the restricted reader met, in plain words."""
    found = re.search(r"GLOBAL ([\w.]+)|(?:class|global) '?([\w.]+\.[\w.]+)", message)
    name = found and (found[1] or found[2])
    what = f"'{name}'" if name else f"something that is no tensor ({message.splitlines()[0]})"
    return (
        f"its pickle asks for {what}, and only tensors and plain values are read: such a file can "
        "run any code. If you trust it, save its state_dict alone with the program that made it"
    )


def require_tensors(content: Any, where: Path) -> dict[str, Tensor]:
    """Check that every value is an ordinary tensor with a name.

    Raises:
        ModelError: names the first entry that is no tensor.
    """
    if not isinstance(content, dict):
        raise ModelError(f"{where} holds a {type(content).__name__}, not named tensors")
    for key, value in content.items():
        if not isinstance(key, str):
            raise ModelError(f"{where} has a name that is no text: {key!r}")
        if not isinstance(value, Tensor):
            raise ModelError(f"{where}: '{key}' is a {type(value).__name__}, not a tensor")
        if value.is_meta or value.layout is not torch.strided or value.is_quantized:
            raise ModelError(f"{where}: '{key}' is no ordinary tensor")
        if value.numel() * value.element_size() > value.untyped_storage().nbytes():
            raise ModelError(f"{where}: '{key}' claims more values than the file holds")
    return content


def write_tensors(path: Path, weights: StateDict) -> None:
    """Write a .safetensors file.

    Raises:
        OSError: the disk refuses.
    """
    tensors = {key: tensor.detach().contiguous().cpu() for key, tensor in weights.items()}
    try:
        save_file(tensors, path, metadata={"format": "pt"})
    except SafetensorError as error:
        number = re.search(r"os error (\d+)", str(error))  # the library has it in words alone
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from None


def fill(module: M, weights: StateDict, where: Path, dtype: torch.dtype = torch.float32) -> M:
    """Give a network its weights without a copy where the file's precision is `dtype`.

    Returns the network in evaluation mode.

    Raises:
        ModelError: the tensors are not those of the network, or hold NaN or infinity.
    """
    expected = module.state_dict()
    absent = {
        key: _OPTIONAL[key.rpartition(".")[2]](tensor)
        for key, tensor in expected.items()
        if key not in weights and key.rpartition(".")[2] in _OPTIONAL
    }
    weights = {**weights, **absent}
    ignored = {k for k in weights if k not in expected and k.endswith("_ids")}
    weights = {key: tensor for key, tensor in weights.items() if key not in ignored}
    require_keys(module, weights, where)
    cast = {key: _cast(tensor, dtype) for key, tensor in weights.items()}
    _require_finite(cast, weights, where)
    give_back(weights.values())
    module.load_state_dict(cast, assign=True)
    return module.eval()


def _cast(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """Return a tensor in a precision; where that is a copy, what it is one of leaves memory."""
    cast = tensor.to(dtype) if tensor.is_floating_point() else tensor
    if cast is not tensor:
        give_back([tensor])
    return cast


def _require_finite(cast: StateDict, weights: StateDict, where: Path) -> None:
    """Refuse weights of which one is NaN or infinite: nothing they compute means anything.

    Smallest and largest value in one pass, which takes a nanosecond a weight; either is NaN if
    any value is.
    """
    bad = [key for key, tensor in cast.items() if not _is_finite(tensor)]
    if not bad:
        return
    if all(_is_finite(weights[key]) for key in bad):
        kind = str(cast[bad[0]].dtype).removeprefix("torch.")
        raise ModelError(f"{where}: '{bad[0]}' has weights too large for {kind}; use float32")
    more = f" and {len(bad) - 1} others" if len(bad) > 1 else ""
    raise ModelError(
        f"{where} holds weights that are NaN or infinite, in '{bad[0]}'{more}: "
        f"the file is damaged, or its training diverged"
    )


def _is_finite(tensor: Tensor) -> bool:
    if not tensor.is_floating_point() or tensor.numel() == 0:
        return True
    smallest, largest = torch.aminmax(tensor)
    return bool(torch.isfinite(smallest) and torch.isfinite(largest))


def require_keys(module: nn.Module, weights: StateDict, where: Path) -> None:
    """Check that names and shapes are exactly those of `module`.

    Raises:
        ModelError: lists what is missing, unexpected (nearest name beside it) or misshapen.
    """
    expected = module.state_dict()
    missing = [key for key in expected if key not in weights]
    faults = [f"missing: {key}" for key in missing]
    faults += [
        f"unexpected: {key}{alike(key, missing) if len(faults) < SHOWN else ''}"
        for key in weights
        if key not in expected
    ]
    faults += [
        f"shape of {key}: {tuple(weights[key].shape)}, expected {tuple(tensor.shape)}"
        for key, tensor in expected.items()
        if key in weights and weights[key].shape != tensor.shape
    ]
    if faults:
        shown = "\n  ".join(faults[:SHOWN])
        raise ModelError(f"{where} does not fit its config.json, {len(faults)} faults:\n  {shown}")


def alike(key: str, missing: list[str]) -> str:
    """Return the sentence that names the nearest of the missing; it begins with a full stop."""
    close = get_close_matches(key, missing, n=1)
    return f". Did you mean '{close[0]}'?" if close else ""


def as_half(weights: StateDict) -> dict[str, Tensor]:
    """Return the weights with every floating-point tensor in fp16, which halves the file."""
    return {
        key: tensor.to(torch.float16) if tensor.is_floating_point() else tensor
        for key, tensor in weights.items()
    }


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal, a block at a time."""
    digest = sha256()
    _update(digest, path)
    return digest.hexdigest()


def hash_weights(model: Path) -> str:
    """Return the first 16 hexadecimal digits of a hash over every weight file of a model."""
    digest = sha256()
    for file in weight_files(model):
        if file != model:
            digest.update(file.relative_to(model).as_posix().encode())
        _update(digest, file)
    return digest.hexdigest()[:16]


def weight_files(model: Path) -> list[Path]:
    """Return every weight file of a model, in the order of their names: itself, or a folder's."""
    if model.is_file():
        return [model]
    return sorted({file for kind in ("safetensors", "bin") for file in model.glob(f"*/*.{kind}")})


def hash_settings(folder: Path, *values: Any) -> str:
    """Return the first 16 hexadecimal digits of a hash over the JSON and text files of a folder
    and its sub-folders, in the order of their names, and over plain values beside them.

    What a checkpoint file says of its settings is in its weights: it adds nothing.
    """
    digest = sha256(json.dumps(values, sort_keys=True).encode())
    for file in sorted(file for kind in ("json", "txt") for file in folder.rglob(f"*.{kind}")):
        digest.update(file.relative_to(folder).as_posix().encode())
        _update(digest, file)
    return digest.hexdigest()[:16]


def _update(digest: Any, path: Path) -> None:
    """Feed a file to a hash, a block at a time."""
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
