"""Training state on disk: written aside, renamed, read back without running any code.

`checkpoints/0001500.pt` is the state after 1500 steps. The last `keep` are there, and the best.
"""

import contextlib
import os
import pickle
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn

from latentfoley.checkpoints.tensors import require_keys
from latentfoley.errors import TrainingError, TrainingWarning

FOLDER = "checkpoints"
_OLD_FILE = "checkpoint.pt"  # the only one of a run that an early version began

State = dict[str, Any]


def save_checkpoint(folder: Path, state: State, *, keep: int, best_step: int | None = None) -> None:
    """Write the state after `state["step"]` steps, then remove all but the last and the best.

    Raises:
        TrainingError: the disk refuses; the older checkpoints are untouched.
    """
    path = _path(folder, state["step"])
    aside = path.with_suffix(".tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with aside.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
        _sync_folder(path.parent)
    # torch's own writer turns an error of the disk into a RuntimeError.
    except (OSError, RuntimeError) as error:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)
        reason = str(error).partition("\n")[0]
        raise TrainingError(
            f"could not write a checkpoint to {path.parent} ({reason}); the previous one is "
            "intact. Make room, and the same command goes on"
        ) from error
    _prune(folder, keep, best_step)


def load_checkpoint(folder: Path) -> State | None:
    """Return the newest state that can be read, or None where nothing was saved.

    Warns:
        TrainingWarning: of every newer one that cannot.

    Raises:
        TrainingError: there are some, and none can be read.
    """
    paths = [*saved(folder), *folder.glob(_OLD_FILE)]
    for path in paths:
        try:
            return _read(path)
        except TrainingError as error:
            warnings.warn(f"{error}; going on from the one before", TrainingWarning, 2)
    if paths:
        raise TrainingError(
            f"no checkpoint in {folder} can be read, of {len(paths)}; remove them to start anew"
        )
    return None


def load_step(folder: Path, step: int) -> State:
    """Return the state after `step` steps.

    Raises:
        TrainingError: it is not there, or damaged.
    """
    return _read(_path(folder, step))


def saved(folder: Path) -> list[Path]:
    """Return the checkpoints of a run, the newest first."""
    return sorted((folder / FOLDER).glob("*.pt"), key=lambda path: int(path.stem), reverse=True)


def _path(folder: Path, step: int) -> Path:
    return folder / FOLDER / f"{step:07d}.pt"


def _read(path: Path) -> State:
    try:
        state: State = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, pickle.UnpicklingError) as error:
        reason = str(error).partition("\n")[0] or "it is empty"
        raise TrainingError(f"{path} cannot be read ({reason})") from None
    return state


def _prune(folder: Path, keep: int, best_step: int | None) -> None:
    best = None if best_step is None else _path(folder, best_step)
    leftovers = (folder / FOLDER).glob("*.tmp")  # of a run that was killed while saving
    for path in (*saved(folder)[keep:], *leftovers):
        if path != best:
            path.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Let the new name survive a power cut as well."""
    if not hasattr(os, "O_DIRECTORY"):  # Windows
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def start_from(module: nn.Module, trained: nn.Module, folder: Path) -> None:
    """Give `module` the weights of `trained`, which was read from `folder`.

    Raises:
        ModelError: the two are not of the same size; lists the tensors that differ.
    """
    weights = trained.state_dict()
    require_keys(module, weights, folder)
    module.load_state_dict(weights)
