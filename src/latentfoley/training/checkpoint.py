"""Training state on disk: written aside, renamed, read back without running any code.

`checkpoints/0001500.pt` is the state after 1500 steps. The last `keep` are there, and the best.
"""

import os
import pickle
import re
import warnings
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import torch
from torch import nn

from latentfoley.checkpoints.tensors import require_keys
from latentfoley.errors import TrainingError, TrainingWarning
from latentfoley.files import PART, aside

FOLDER = "checkpoints"
_NAME = re.compile(r"\d{7,}\.pt")
_OLD_FILE = "checkpoint.pt"  # the only one of a run that an early version began

State = dict[str, Any]


def save_checkpoint(folder: Path, state: State, *, keep: int, best_step: int | None = None) -> None:
    """Write the state after `state["step"]` steps, then remove all but the last and the best.

    Raises:
        TrainingError: the disk refuses; the older checkpoints are untouched.
    """
    path = _path(folder, state["step"])
    try:
        with aside(path) as part, part.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        _sync_folder(path.parent)
    # torch's own writer turns an error of the disk into a RuntimeError.
    except (OSError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise TrainingError(
            f"could not write a checkpoint to {path.parent} ({reason}); the previous one is "
            "intact. Make room, and the same command resumes"
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
    """Return the checkpoints of a run, the newest first; files of other names are somebody's."""
    own = [path for path in (folder / FOLDER).glob("*.pt") if _NAME.fullmatch(path.name)]
    return sorted(own, key=lambda path: int(path.stem), reverse=True)


def _path(folder: Path, step: int) -> Path:
    return folder / FOLDER / f"{step:07d}.pt"


def _read(path: Path) -> State:
    try:
        _require_intact(path)
        state: State = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, pickle.UnpicklingError, BadZipFile) as error:
        reason = str(error).partition("\n")[0] or "it is empty"
        raise TrainingError(f"{path} cannot be read ({reason})") from None
    return state


def _require_intact(path: Path) -> None:
    """Check the sums that stand in the file, which torch does not: a flipped bit is damage.

    Raises:
        BadZipFile: a part of the file is not what was written.
    """
    if path.stat().st_size == 0:
        raise BadZipFile("it is empty")
    with ZipFile(path) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise BadZipFile(f"'{damaged}' in it is damaged")


def _prune(folder: Path, keep: int, best_step: int | None) -> None:
    best = None if best_step is None else _path(folder, best_step)
    leftovers = (folder / FOLDER).glob(PART)  # of a run that was killed while saving
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
