"""How loud a model's sounds are to be, as `loudness/model.safetensors` in its folder.

It decides samples, so it is part of the hash of the weights.
"""

import shutil
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from latentfoley.errors import ModelError
from latentfoley.loudness import LoudnessHead

FILE = Path("loudness", "model.safetensors")


def write_loudness(folder: Path, head: LoudnessHead) -> None:
    """Write the head into a model's folder."""
    path = folder / FILE
    path.parent.mkdir(exist_ok=True)
    save_file({"weight": head.weight.contiguous(), "bias": torch.tensor(head.bias)}, path)
    path.chmod(0o644)  # safetensors writes for the owner alone


def read_loudness(folder: Path, E_size: int) -> LoudnessHead | None:
    """Return the head; None for a folder without one, as the published ones are.

    Raises:
        ModelError: the file is damaged, or is of another size than E.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        tensors = load_file(path)
        weight, bias = tensors["weight"].float(), float(tensors["bias"])
    except (SafetensorError, OSError, KeyError, RuntimeError) as error:
        raise ModelError(f"{path} is damaged or no loudness ({error})") from None
    if weight.shape != (E_size,):
        raise ModelError(f"{path} has {tuple(weight.shape)} numbers for E of {E_size}")
    return LoudnessHead(weight, bias)


def copy_loudness(where: Path, out: Path) -> None:
    """Copy the head from one model's folder to another's, where there is one."""
    if (where / FILE).is_file():
        (out / FILE).parent.mkdir()
        shutil.copy(where / FILE, out / FILE)
