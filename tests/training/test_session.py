"""Between steps: what is logged, validated, kept, and exported at the end."""

import json

import pytest
import torch

from latentfoley.errors import TrainingError
from latentfoley.training.checkpoint import load_step, saved
from latentfoley.training.loop import train
from lines import Line, line_recipe

# Of held-out recordings, by step: the best is at 4, and never again.
HELD_OUT = {2: 5.0, 4: 1.0, 6: 3.0, 8: 1.0, 10: 2.0, 12: 4.0}


class Judged(Line):
    """A line whose loss on held-out points is given."""

    def __init__(self, run, **changes):
        super().__init__(run, **changes)
        self.exports = {}

    def validate(self):
        return {"validation_loss": HELD_OUT[len(self.rates) + self.first], "validation_other": 7.0}

    def export(self, folder):
        self.exports[folder.name] = self.line.weight.item()


@pytest.fixture
def judged(tmp_path):
    """Return a function that makes the task; keywords change its recipe."""

    def judged(first=0, **changes):
        values = {"validate_every": 2, "checkpoint_every": 6, "keep": 2} | changes
        task = Judged(line_recipe(tmp_path / "run", **values))
        task.first = first
        return task

    return judged


def logged(task):
    lines = (task.recipe.run.folder / "log.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_the_best_is_kept_beside_the_last(judged):
    task = judged()
    train(task, task.recipe.run)
    assert [int(path.stem) for path in saved(task.recipe.run.folder)] == [12, 6, 4]
    record = json.loads((task.recipe.run.folder / "run.json").read_text())
    assert record["best"] == {"step": 4, "loss": 1.0}


def test_both_are_exported(judged):
    task = judged()
    train(task, task.recipe.run)
    folder = task.recipe.run.folder
    for name, step in (("best", 4), ("model", 12)):
        weight = load_step(folder, step)["modules"]["line"]["weight"].item()
        assert task.exports[name] == weight
    assert task.exports["best"] != task.exports["model"]
    assert task.line.weight.item() == task.exports["model"]  # the task ends as it was trained


def test_without_held_out_recordings_there_is_no_best(tmp_path):
    run = line_recipe(tmp_path, checkpoint_every=5)
    train(Line(run), run)
    assert [int(path.stem) for path in saved(tmp_path)] == [12, 10, 5]
    assert json.loads((tmp_path / "run.json").read_text())["best"] is None


def test_a_resumed_run_remembers_its_best(judged):
    stopped = judged()
    stopped.watch = lambda step: float("nan") if step == 7 else 0.0
    with pytest.raises(TrainingError):
        train(stopped, stopped.recipe.run)
    resumed = judged(first=6)
    train(resumed, resumed.recipe.run)
    assert set(resumed.exports) == {"best", "model"}
    assert [int(path.stem) for path in saved(resumed.recipe.run.folder)] == [12, 6, 4]


def test_held_out_losses_stand_in_the_line_of_their_step(judged):
    task = judged(log_every=4)
    train(task, task.recipe.run)
    lines = logged(task)
    assert [line["step"] for line in lines] == [0, 1, 3, 4, 5, 7, 8, 9, 11]
    found = {
        line["step"] + 1: line["validation_loss"] for line in lines if "validation_loss" in line
    }
    assert found == HELD_OUT


def test_every_line_tells_rate_gradient_and_speed(judged):
    task = judged()
    train(task, task.recipe.run)
    for line, rate in zip(logged(task), task.rates, strict=True):
        assert line["learning_rate"] == pytest.approx(rate)
        assert line["gradient_norm"] > 0
        assert line["steps_per_second"] > 0


def test_numbers_come_back_as_they_were(judged):
    task = judged()
    train(task, task.recipe.run)
    first = torch.tensor(logged(task)[0]["loss"], dtype=torch.float32)
    assert first.item() == Judged(task.recipe.run).step(0)["loss"]


def test_a_line_torn_by_a_power_cut_goes(judged):
    task = judged()
    folder = task.recipe.run.folder
    folder.mkdir()
    (folder / "log.jsonl").write_text('{"step": 0, "loss": 1.0}\n{"step": 1, "lo')
    train(task, task.recipe.run)
    assert [line["step"] for line in logged(task)] == [0, *range(12)]


def test_a_disk_that_fails_elsewhere_is_told_as_well(judged):
    task = judged()

    def fail(folder, step):
        raise OSError(28, "No space left on device", str(folder))

    task.preview = fail
    message = r"No space left on device: .*previews.*; the last checkpoint in .* is good. Make room"
    with pytest.raises(TrainingError, match=message):
        train(task, task.recipe.run)
    assert saved(task.recipe.run.folder)
