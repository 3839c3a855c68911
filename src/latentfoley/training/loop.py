"""The one training loop: what is trained is a `Task`, the loop gives it steps and keeps its state.

Every step's randomness comes from (seed, step), so a run that was stopped and resumed makes the
losses it would have made. SIGTERM and SIGINT save and stop at the next step's end.
"""

import contextlib
import json
import math
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn

from latentfoley.errors import MissingExtraError, RecipeError, TrainingError
from latentfoley.training.checkpoint import load_checkpoint, save_checkpoint
from latentfoley.training.recipe import RunRecipe
from latentfoley.training.record import RunRecord
from latentfoley.training.task import Task


def train(task: Task, recipe: RunRecipe) -> bool:
    """Run `task` from its last checkpoint to `recipe.steps`, then export it to `folder/model`.

    Returns:
        Whether it got there; False where it was stopped by a signal.

    Raises:
        TrainingError: a loss is no longer finite, or the disk refuses a checkpoint.
        RecipeError: the folder of the run cannot be made.
    """
    first = _resume(task, recipe.folder)
    with _logger(recipe.folder, first) as log, _stop_requested() as stopped, _progress() as bar:
        record = RunRecord(task, first, n_processes=1)
        shown = bar.add_task(recipe.folder.name, total=recipe.steps, completed=first)
        for step in range(first, recipe.steps):
            _set_learning_rates(task, recipe, step)
            losses = task.step(step)
            _require_finite(losses, step, recipe)
            bar.update(shown, completed=step + 1)
            if step % recipe.log_every == 0:
                log(step, losses)
            done = step + 1
            if done % recipe.preview_every == 0 or done == recipe.steps:
                task.preview(recipe.folder / "previews", done)
            if done % recipe.checkpoint_every == 0 or done == recipe.steps or stopped():
                _save(task, recipe.folder, done)
                record.write(done)
            if stopped():
                return False
        task.export(recipe.folder / "model")
        record.finish(recipe.steps)
    return True


def learning_rate_factor(step: int, recipe: RunRecipe) -> float:
    """Return the share of the peak learning rate at `step`: linear warm-up, then half a cosine."""
    if step < recipe.warmup_steps:
        return (step + 1) / recipe.warmup_steps
    progress = (step - recipe.warmup_steps) / max(1, recipe.steps - recipe.warmup_steps)
    cosine = 0.5 * (1 + math.cos(math.pi * progress))
    return recipe.final_rate + (1 - recipe.final_rate) * cosine


def descend(loss: Tensor, optimizer: torch.optim.Optimizer, recipe: RunRecipe) -> None:
    """Take one step down `loss`, the norm of all gradients clipped to `recipe.gradient_clip`."""
    optimizer.zero_grad()
    loss.backward()
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    nn.utils.clip_grad_norm_(parameters, recipe.gradient_clip)
    optimizer.step()


def autocast(recipe: RunRecipe, device: torch.device) -> torch.autocast:
    """Return the context of the forward pass in the recipe's precision."""
    return torch.autocast(device.type, torch.bfloat16, enabled=recipe.precision == "bf16")


def _set_learning_rates(task: Task, recipe: RunRecipe, step: int) -> None:
    rate = recipe.learning_rate * learning_rate_factor(step, recipe)
    for optimizer in task.optimizers.values():
        for group in optimizer.param_groups:
            group["lr"] = rate


def _require_finite(losses: dict[str, float], step: int, recipe: RunRecipe) -> None:
    for name, value in losses.items():
        if not math.isfinite(value):
            raise TrainingError(
                f"{name} became {value} at step {step}; the last checkpoint in {recipe.folder} is "
                f"good. Lower learning_rate (now {recipe.learning_rate}) and run again to go on."
            )


def _save(task: Task, folder: Path, step: int) -> None:
    state = {
        "step": step,
        "modules": {name: module.state_dict() for name, module in task.modules.items()},
        "optimizers": {name: opt.state_dict() for name, opt in task.optimizers.items()},
    }
    save_checkpoint(folder, state)


def _resume(task: Task, folder: Path) -> int:
    state = load_checkpoint(folder)
    if state is None:
        return 0
    try:
        for name, module in task.modules.items():
            module.load_state_dict(state["modules"][name])
        for name, optimizer in task.optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])
    except (KeyError, ValueError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise TrainingError(
            f"the checkpoint in {folder} is of another model than the recipe describes ({reason}); "
            "give the run another folder"
        ) from None
    return int(state["step"])


@contextlib.contextmanager
def _logger(folder: Path, first: int) -> Iterator[Any]:
    """Yield a function that appends losses to `log.jsonl` and to TensorBoard's event file."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise MissingExtraError(
            "training needs the extra 'train': pip install 'latentfoley[train]'"
        ) from None
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RecipeError(f"the run folder '{folder}' cannot be made: {error.strerror}") from None
    board = SummaryWriter(str(folder / "tensorboard"), purge_step=first)
    start = time.monotonic()
    with (folder / "log.jsonl").open("a", encoding="utf-8") as lines:

        def log(step: int, losses: dict[str, float]) -> None:
            rounded = {name: round(value, 5) for name, value in losses.items()}
            elapsed_s = round(time.monotonic() - start, 1)
            lines.write(json.dumps({"step": step, "elapsed_s": elapsed_s} | rounded) + "\n")
            lines.flush()
            for name, value in losses.items():
                board.add_scalar(name, value, step)

        try:
            yield log
        finally:
            board.close()


@contextlib.contextmanager
def _stop_requested() -> Iterator[Any]:
    """Yield a function that says whether SIGTERM or SIGINT came; restore the handlers after."""
    caught: list[int] = []
    signals = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, lambda got, _: caught.append(got)) for number in signals]
    try:
        yield lambda: bool(caught)
    finally:
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    )
