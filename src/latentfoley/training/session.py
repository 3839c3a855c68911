"""What the first process does between steps: log, validate, keep, show, and export at the end."""

from dataclasses import asdict, dataclass
from typing import Any

from latentfoley.errors import RecipeError, TrainingError
from latentfoley.training import parallel
from latentfoley.training.checkpoint import State, load_checkpoint, load_step, save_checkpoint
from latentfoley.training.log import RunLog
from latentfoley.training.record import RunRecord
from latentfoley.training.task import DECIDES, Task

PREVIEWS = "previews"


@dataclass(frozen=True)
class Best:
    """The checkpoint with the least loss on held-out recordings."""

    step: int
    loss: float


class Session:
    """From one start of a run to its end or interruption. Built on every process; only the first
    opens it, and calls the rest."""

    def __init__(self, task: Task) -> None:
        """Bring the task to the newest checkpoint of the run.

        Raises:
            RecipeError: more steps are made than the recipe asks for.
            TrainingError: the checkpoint cannot be read, or is of another model.
        """
        self.task, self.run = task, task.recipe.run
        state = load_checkpoint(self.run.folder)
        self.first_step, self.best = (0, None) if state is None else restore(task, state)
        if self.first_step > self.run.steps:
            raise RecipeError(
                f"the run in '{self.run.folder}' has made {self.first_step} steps, and run.steps "
                f"is {self.run.steps}; give at least {self.first_step}, or another run.folder"
            )

    def open(self) -> None:
        """Make the run's folder, note there that a session has begun, and show what a killed one
        could not show any more.

        Raises:
            RecipeError: the folder cannot be made.
        """
        self.log = RunLog(self.run.folder, self.first_step)
        self.record = RunRecord(self.task, self.first_step, parallel.n_processes())
        if self._lacks_preview():
            self._preview(self.first_step)

    def _lacks_preview(self) -> bool:
        """Return whether the base model, or what a killed run had to show, is still to be shown."""
        if self.first_step == 0:
            return getattr(self.task.recipe, "start", None) is not None
        shown = self.record.values["previewed"] == self.first_step
        return not shown and self._due(self.first_step, self.run.preview_every)

    def close(self) -> None:
        """Close the files; nothing where none were opened."""
        if hasattr(self, "log"):
            self.log.close()

    def is_due(self, done: int) -> bool:
        """Return whether `after` has anything to do once `done` steps are made."""
        every = (self.run.validate_every, self.run.checkpoint_every, self.run.preview_every)
        return (done - 1) % self.run.log_every == 0 or any(self._due(done, n) for n in every)

    def after(self, done: int, losses: dict[str, float], *, stopping: bool) -> None:
        """Do what is due once `done` steps are made; the last had `losses`."""
        validation = self.task.validate() if self._due(done, self.run.validate_every) else {}
        if validation or (done - 1) % self.run.log_every == 0:
            self.log.scalars(done - 1, losses | validation)
        improved = bool(validation) and self._improves(Best(done, validation[DECIDES]))
        if improved or stopping or self._due(done, self.run.checkpoint_every):
            self._save(done)
        if self._due(done, self.run.preview_every):
            self._preview(done)

    def finish(self) -> None:
        """Export the last weights to `model` and, where others were better, those to `best`."""
        if self.best is not None and self.best.step < self.run.steps:
            restore(self.task, load_step(self.run.folder, self.best.step))
            self.task.export(self.run.folder / "best")
            restore(self.task, load_step(self.run.folder, self.run.steps))
        self.task.export(self.run.folder / "model")
        self.record.finish(self.run.steps)

    def _preview(self, done: int) -> None:
        self.task.preview(self.run.folder / PREVIEWS, done)
        self.log.previews(self.run.folder / PREVIEWS, done)
        self.record.write(done, previewed=done)

    def _due(self, done: int, every: int) -> bool:
        return done % every == 0 or done == self.run.steps

    def _improves(self, now: Best) -> bool:
        """Return whether held-out recordings never had so little loss; if so, remember it."""
        if self.best is not None and now.loss >= self.best.loss:
            return False
        self.best = now
        return True

    def _save(self, done: int) -> None:
        best = asdict(self.best) if self.best else None
        state = state_of(self.task, done) | {"best": best}
        best_step = self.best.step if self.best else None
        save_checkpoint(self.run.folder, state, keep=self.run.keep, best_step=best_step)
        self.record.write(done, best=best)


def state_of(task: Task, step: int) -> State:
    """Return all that the steps to come depend on."""
    return {
        "step": step,
        "modules": {name: module.state_dict() for name, module in task.modules.items()},
        "optimizers": {name: opt.state_dict() for name, opt in task.optimizers.items()},
        "scaler": task.optimisation.scaler.state_dict(),
    }


def restore(task: Task, state: State) -> tuple[int, Best | None]:
    """Bring a task back to a saved state; return its step and the best one until then.

    Raises:
        TrainingError: the state is of a model of another shape.
    """
    try:
        for name, module in task.modules.items():
            module.load_state_dict(state["modules"][name])
        for name, optimizer in task.optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])
        if state.get("scaler"):  # empty unless it was a run in fp16
            task.optimisation.scaler.load_state_dict(state["scaler"])
    except (KeyError, ValueError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise TrainingError(
            f"the checkpoint in {task.recipe.run.folder} is of another model than the recipe "
            f"describes ({reason}); give the run another folder"
        ) from None
    best: dict[str, Any] | None = state.get("best")
    return int(state["step"]), Best(**best) if best else None
