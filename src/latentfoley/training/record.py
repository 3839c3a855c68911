"""`run.json`: what a run is made of and how far it came, for people and for `train report`."""

import json
import os
import platform
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from latentfoley.checkpoints.json_files import Json, read_json
from latentfoley.devices import cpu_name
from latentfoley.encoding import write_atomically
from latentfoley.training.task import Task

FILE = "run.json"


class RunRecord:
    """The record of a run. Every start, the first and each resumption, is a session in it.

    A session says what its recipe has otherwise than that of the session before, as (was, is).
    """

    def __init__(self, task: Task, first_step: int, n_processes: int) -> None:
        folder = task.recipe.run.folder
        self.path = folder / FILE
        before = read_json(self.path) if self.path.is_file() else {}
        self.started = time.monotonic()
        recipe = task.recipe.model_dump(mode="json")
        changes = _changes(before.get("recipe") or recipe, recipe)
        session = {"started": _now(), "first_step": first_step, "changes": changes}
        self.values: Json = {
            "kind": task.kind,
            "recipe": recipe,
            "data": task.data_size,
            "hardware": _hardware(task.device),
            "versions": _versions(),
            "n_parameters": _count_parameters(task),
            "n_processes": n_processes,
            "sessions": [*before.get("sessions", []), session],
            "best": before.get("best"),
            "previewed": before.get("previewed"),
            "finished": before.get("finished") if first_step == task.recipe.run.steps else None,
        }
        self.write(first_step)

    def write(self, step: int, **changes: Any) -> None:
        """Note that `step` steps are done, and what else has changed."""
        seconds = round(time.monotonic() - self.started, 1)
        self.values["sessions"][-1] |= {"last_step": step, "seconds": seconds}
        self.values |= changes
        text = json.dumps(self.values, indent=2) + "\n"
        write_atomically(self.path, text.encode())

    def finish(self, step: int) -> None:
        """Note when the last step was done; a finished run that is started again keeps its time."""
        self.write(step, finished=self.values["finished"] or _now())


def history(folder: Path) -> tuple[str, ...]:
    """Return which steps a run made, session by session, and what had changed in its recipe."""
    path = folder / FILE
    sessions = read_json(path)["sessions"] if path.is_file() else []
    return tuple(_told(one) for one in sessions if one["last_step"] > one["first_step"])


def _told(session: Json) -> str:
    changes = session.get("changes", {}).items()
    told = "".join(f", {name} {was} → {now}" for name, (was, now) in changes)
    return f"steps {session['first_step']} to {session['last_step']}{told}"


def _changes(before: Json, now: Json) -> dict[str, tuple[Any, Any]]:
    """Return the settings that differ, by their names in the recipe."""
    was, is_ = dict(_settings(before)), dict(_settings(now))
    names = [name for name in was | is_ if was.get(name) != is_.get(name)]
    return {name: (was.get(name), is_.get(name)) for name in names}


def _settings(recipe: Json, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in recipe.items():
        if isinstance(value, dict):
            yield from _settings(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _hardware(device: torch.device) -> Json:
    """Return what the run computes on; sizes in GB (10⁹ bytes)."""
    gpu = torch.cuda.get_device_properties(device) if device.type == "cuda" else None
    return {
        "device": device.type,
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_gb": _memory_gb(),
        "gpu": gpu and gpu.name,
        "gpu_memory_gb": gpu and round(gpu.total_memory / 1e9, 1),
    }


def _memory_gb() -> float | None:
    if not hasattr(os, "sysconf"):  # Windows
        return None
    return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9, 1)


def _versions() -> Json:
    from latentfoley.version import __version__

    return {
        "latentfoley": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
    }


def _count_parameters(task: Task) -> int:
    """Return the number of trained weights: neither averages nor the adversary's."""
    return sum(
        parameter.numel()
        for name, optimizer in task.optimizers.items()
        if name != "discriminator"
        for group in optimizer.param_groups
        for parameter in group["params"]
    )
