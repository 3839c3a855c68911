"""`run.json`: every start of a run is told, and what it ran on."""

import json
import signal

import pytest
import torch

from latentfoley.errors import TrainingError
from latentfoley.training.loop import train
from latentfoley.training.record import FILE
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
