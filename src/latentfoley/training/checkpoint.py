"""Training state on disk: written aside, renamed, read back without running any code."""

import os
import pickle
from pathlib import Path
from typing import Any

import torch
from torch import nn

from latentfoley.checkpoints.tensors import require_keys
from latentfoley.errors import TrainingError

FILE = "checkpoint.pt"


def save_checkpoint(folder: Path, state: dict[str, Any]) -> None:
    """Write `state` beside the old checkpoint, then take its place in one step.

    Raises:
        TrainingError: the disk refuses; the old checkpoint is untouched.
    """
    folder.mkdir(parents=True, exist_ok=True)
    aside = folder / f"{FILE}.tmp"
    try:
        with aside.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(folder / FILE)
    except (OSError, RuntimeError) as error:
        aside.unlink(missing_ok=True)
        raise TrainingError(
            f"could not write a checkpoint to {folder} ({error}); the previous one is intact"
        ) from error


def load_checkpoint(folder: Path) -> dict[str, Any] | None:
    """Return the state saved last, or None where there is none.

    Raises:
        TrainingError: the file is damaged, or holds more than numbers.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, pickle.UnpicklingError) as error:
        reason = str(error).partition("\n")[0] or "it is empty"
        raise TrainingError(f"{path} cannot be read ({reason}); remove it to start anew") from None
    return state


def start_from(module: nn.Module, trained: nn.Module, folder: Path) -> None:
    """Give `module` the weights of `trained`, which was read from `folder`.

    Raises:
        ModelError: the two are not of the same size; lists the tensors that differ.
    """
    weights = trained.state_dict()
    require_keys(module, weights, folder)
    module.load_state_dict(weights)
