"""The training loop: a `Task` computes the steps, the loop counts them and keeps the state.

Every step's randomness comes from (seed, step), so a run that was stopped and resumed makes the
losses it would have made. SIGTERM and SIGINT save and stop at the next step's end, on every process
of the run as soon as one of them was told.
"""

import contextlib
import math
import signal
from collections.abc import Callable, Iterator
from functools import partial

from latentfoley.errors import TrainingError
from latentfoley.files import locked
from latentfoley.progress import Progress
from latentfoley.training import parallel
from latentfoley.training.networks import prepare
from latentfoley.training.optimisation import not_finite
from latentfoley.training.recipe import RunRecipe
from latentfoley.training.session import Session
from latentfoley.training.task import Task


def train(
    task: Task,
    recipe: RunRecipe,
    *,
    progress: Progress = lambda done, total: None,
) -> bool:
    """Run `task` from its last checkpoint to `recipe.steps`, then export it to `folder/model`.

    Args:
        task: what is trained.
        recipe: of the run.
        progress: called with (steps done, steps in all).

    Returns:
        Whether it got there; False where it was stopped by a signal.

    Raises:
        TrainingError: a loss or a gradient is no longer finite, the disk refuses a file, or
            another process failed.
        RecipeError: the folder of the run cannot be made, or the run has made more steps already.
        InputError: another process trains in that folder.
    """
    with contextlib.ExitStack() as held:
        parallel.on_rank_zero(lambda: held.enter_context(locked(recipe.folder, "training run")))
        return _train(task, recipe, progress)


def _train(task: Task, recipe: RunRecipe, progress: Progress) -> bool:
    session = Session(task)
    parallel.require_same("the step to go on from", session.first_step)
    prepare(task, recipe)
    with _explained(recipe), _opened(session), _stop_requested() as stopped:
        for step in range(session.first_step, recipe.steps):
            rate = _set_learning_rates(task, recipe, step)
            values = task.step(step) | {"stopping": float(stopped())}
            losses = parallel.all_reduce_mean(values) | {"learning_rate": rate}
            stopping = losses.pop("stopping") > 0
            _require_finite(losses, step, recipe)
            progress(step + 1, recipe.steps)
            if stopping or session.is_due(step + 1):
                parallel.on_rank_zero(partial(session.after, step + 1, losses, stopping=stopping))
            if stopping:
                return False
        parallel.on_rank_zero(session.finish)
    return True


def learning_rate_factor(step: int, recipe: RunRecipe) -> float:
    """Return the share of the peak learning rate at `step`: linear warm-up, then half a cosine."""
    if step < recipe.warmup_steps:
        return (step + 1) / recipe.warmup_steps
    progress = (step - recipe.warmup_steps) / max(1, recipe.steps - recipe.warmup_steps)
    cosine = 0.5 * (1 + math.cos(math.pi * progress))
    return recipe.final_rate + (1 - recipe.final_rate) * cosine


def _set_learning_rates(task: Task, recipe: RunRecipe, step: int) -> float:
    rate = recipe.learning_rate * learning_rate_factor(step, recipe)
    for optimizer in task.optimizers.values():
        for group in optimizer.param_groups:
            group["lr"] = rate
    return rate


def _require_finite(losses: dict[str, float], step: int, recipe: RunRecipe) -> None:
    for name, value in losses.items():
        overflow = name == "gradient_norm" and recipe.precision == "fp16"  # the step was left out
        if not math.isfinite(value) and not overflow:
            raise TrainingError(not_finite(f"at step {step} {name}", value, recipe))


@contextlib.contextmanager
def _explained(recipe: RunRecipe) -> Iterator[None]:
    """Say of a disk that is full or gone, wherever it shows, what is kept and what to do."""
    try:
        yield
    except OSError as error:
        raise TrainingError(
            f"{error}; the last checkpoint in {recipe.folder} is good. Make room, or bring back "
            "the file, and the same command resumes"
        ) from error


@contextlib.contextmanager
def _opened(session: Session) -> Iterator[None]:
    try:
        parallel.on_rank_zero(session.open)
        yield
    finally:
        session.close()


@contextlib.contextmanager
def _stop_requested() -> Iterator[Callable[[], bool]]:
    """Yield a function that says whether SIGTERM or SIGINT came; restore the handlers after."""
    caught: list[int] = []
    signals = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, lambda got, _: caught.append(got)) for number in signals]
    try:
        yield lambda: bool(caught)
    finally:
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)
