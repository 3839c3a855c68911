"""`run.json`: every start of a run is told, and what it ran on."""

import json
import os
import signal
import subprocess
import sys

import pytest
import torch

from latentfoley.errors import InputError, RecipeError, TrainingError
from latentfoley.training.loop import train
from latentfoley.training.record import FILE, history
from lines import Line, line_recipe


@pytest.fixture
def run(tmp_path):
    """A run of twelve steps."""
    return line_recipe(tmp_path)


def recorded(run):
    return json.loads((run.folder / FILE).read_text())


def test_it_says_what_ran_on_what(run):
    train(Line(run), run)
    record = recorded(run)
    assert record["kind"] == "line"
    assert record["recipe"]["run"] == run.model_dump(mode="json")
    assert record["data"] == {"points": 8}
    assert (record["n_parameters"], record["n_processes"]) == (2, 1)
    hardware = record["hardware"]
    assert (hardware["device"], hardware["gpu"]) == ("cpu", None)
    assert hardware["cpu"] and hardware["cores"] >= 1 and hardware["memory_gb"] > 0
    assert record["versions"]["torch"] == torch.__version__
    (session,) = record["sessions"]
    assert (session["first_step"], session["last_step"]) == (0, 12)
    assert record["finished"] >= session["started"]


def test_every_start_is_a_session(run):
    def fail(step):
        return float("nan") if step == 9 else 0.0

    with pytest.raises(TrainingError):
        train(Line(run, watch=fail), run)
    assert recorded(run)["finished"] is None
    train(Line(run), run)
    sessions = recorded(run)["sessions"]
    assert [(s["first_step"], s["last_step"]) for s in sessions] == [(0, 8), (8, 12)]
    assert all(s["seconds"] >= 0 for s in sessions)


def test_a_stop_is_recorded_and_no_finish(run):
    def stop(step):
        if step == 5:
            signal.raise_signal(signal.SIGTERM)
        return 0.0

    train(Line(run, watch=stop), run)
    record = recorded(run)
    assert record["sessions"][-1]["last_step"] == 6
    assert record["finished"] is None


def test_a_finished_run_started_again_keeps_its_time(run):
    train(Line(run), run)
    path = run.folder / FILE
    path.write_text(path.read_text().replace(recorded(run)["finished"], "long ago"))
    train(Line(run), run)
    assert recorded(run)["finished"] == "long ago"
    longer = run.model_copy(update={"steps": 13})
    train(Line(longer), longer)
    assert recorded(run)["finished"] != "long ago"


def test_a_session_tells_what_was_changed(run):
    train(Line(run), run)
    changed = run.model_copy(update={"steps": 20, "learning_rate": 0.01, "seed": 9})
    train(Line(changed), changed)
    first, second = recorded(run)["sessions"]
    assert first["changes"] == {}
    assert second["changes"] == {
        "run.steps": [12, 20],
        "run.learning_rate": [0.1, 0.01],
        "run.seed": [0, 9],
    }
    train(Line(changed), changed)  # nothing is left to do: no part of the history
    assert history(run.folder) == (
        "steps 0 to 12",
        "steps 12 to 20, run.steps 12 → 20, run.learning_rate 0.1 → 0.01, run.seed 0 → 9",
    )


def test_fewer_steps_than_were_made_are_refused(run):
    train(Line(run), run)
    fewer = run.model_copy(update={"steps": 5})
    task = Line(fewer)
    with pytest.raises(RecipeError, match=r"has made 12 steps, and run.steps is 5; give at least"):
        train(task, fewer)
    assert not task.exported
    assert recorded(run)["recipe"]["run"]["steps"] == 12


def test_a_preview_that_a_kill_prevented_is_made_up_for(tmp_path):
    run = line_recipe(tmp_path, checkpoint_every=3, preview_every=6)

    def kill(folder, step):
        raise KeyboardInterrupt

    for n_steps in (6, 0):
        killed = Line(run)
        killed.preview = kill
        with pytest.raises(KeyboardInterrupt):
            train(killed, run)
        assert len(killed.rates) == n_steps
    resumed = Line(run)
    train(resumed, run)
    assert len(resumed.rates) == 6
    assert [step for _, step in resumed.previews] == [6, 12]
    again = Line(run)
    train(again, run)
    assert again.previews == []


def test_two_processes_do_not_train_in_one_folder(run):
    program = (
        "import sys, pathlib\n"
        "from lines import Line, line_recipe\n"
        "from latentfoley.training.loop import train\n"
        "run = line_recipe(pathlib.Path(sys.argv[1]))\n"
        "wait = lambda step: (print('training', flush=True), sys.stdin.read(), 0.0)[2]\n"
        "train(Line(run, watch=wait), run)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(
        [sys.executable, "-c", program, run.folder],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
    ) as other:  # fmt: skip
        assert other.stdout.readline() == "training\n"
        says = rf"training run '.*' is in use by process {other.pid}"
        with pytest.raises(InputError, match=says):
            train(Line(run), run)
        other.kill()
        other.wait()
        task = Line(run)
        train(task, run)
    assert task.exported
