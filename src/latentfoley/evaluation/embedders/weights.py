"""Published weight files → state dictionaries, without running what is in them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy._core import multiarray
from torch import Tensor, nn

from latentfoley.checkpoints.tensors import hash_file
from latentfoley.errors import ModelError, nearest_files
from latentfoley.evaluation.embedders.published import require_published

# The published file of CNN14 at 16 kHz also holds the state of its sampler, an array of integers.
# These names rebuild arrays and run nothing; older files call the module without the underscore.
_ARRAYS: list[Any] = [
    multiarray._reconstruct,
    (multiarray._reconstruct, "numpy.core.multiarray._reconstruct"),
    np.ndarray,
    np.dtype,
    np.dtypes.Int64DType,
]


def read_weights(path: Path, name: str) -> tuple[dict[str, Tensor], str]:
    """Return the tensors of the `.pth` file of an embedder, and the SHA-256 of its bytes.

    Raises:
        ModelError: there is no such file, it holds more than tensors and arrays, it is not one of
            torch's, or it lies among the downloads and is not what was downloaded.
    """
    if not path.is_file():
        raise ModelError(f"there is no weight file '{path}'.{nearest_files(path)}")
    digest = hash_file(path)
    require_published(name, path, digest)
    try:
        with torch.serialization.safe_globals(_ARRAYS):
            found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch lets through whatever its reader raises
        reason = str(error).partition("\n")[0]
        raise ModelError(f"'{path}' cannot be read as weights: {reason}") from None
    return _tensors(found, path), digest


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
