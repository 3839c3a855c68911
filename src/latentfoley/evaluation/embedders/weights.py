"""Published weight files → state dictionaries, without running what is in them."""

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from latentfoley.errors import InputError, ModelError, nearest_files


def read_weights(path: Path | None, name: str, published_as: str) -> tuple[dict[str, Tensor], str]:
    """Return the tensors of a `.pth` file and the SHA-256 of its bytes.

    Args:
        path: where it lies.
        name: of the embedder, for errors.
        published_as: the name the file is published under, for errors.

    Raises:
        InputError: no path.
        ModelError: there is no such file, it holds more than tensors, or it is not one of torch's.
    """
    if path is None:
        raise InputError(
            f"the embedder '{name}' needs its weights: {name}=PATH, where PATH is the published "
            f"file {published_as}; nothing is downloaded here"
        )
    if not path.is_file():
        raise ModelError(f"there is no weight file '{path}'.{nearest_files(path)}")
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch lets through whatever its reader raises
        reason = str(error).partition("\n")[0]
        raise ModelError(f"'{path}' cannot be read as weights: {reason}") from None
    return _tensors(found, path), sha256(path.read_bytes()).hexdigest()


def load_into(network: nn.Module, tensors: Mapping[str, Tensor], path: Path | None) -> None:
    """Give a network its weights; every one, and no other.

    Raises:
        ModelError: names what is missing, unknown, or of another shape.
    """
    wanted = network.state_dict()
    faults = [f"lacks {key}" for key in wanted if key not in tensors]
    faults += [f"has an unknown {key}" for key in tensors if key not in wanted]
    faults += [
        f"{key} is {tuple(tensors[key].shape)} instead of {tuple(value.shape)}"
        for key, value in wanted.items()
        if key in tensors and tensors[key].shape != value.shape
    ]
    if faults:
        more = f" and {len(faults) - 3} more" if len(faults) > 3 else ""
        raise ModelError(f"'{path}' is another network: it {'; '.join(faults[:3])}{more}")
    network.load_state_dict(dict(tensors))


def _tensors(found: Any, path: Path) -> dict[str, Tensor]:
    inner = found.get("model", found) if isinstance(found, Mapping) else None
    if not isinstance(inner, Mapping) or not all(isinstance(t, Tensor) for t in inner.values()):
        raise ModelError(f"'{path}' holds no state dictionary")
    return dict(inner)
