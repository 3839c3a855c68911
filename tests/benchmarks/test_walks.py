"""The walks of `benchmarks/walks`: commands that exist, and figures that are of them."""

import json
import shlex
from pathlib import Path

import pytest
import typer

from latentfoley.cli import app

WALKS = Path(__file__).parents[2] / "benchmarks" / "walks"
MOST = {"designer": 4, "recordist": 7, "researcher": 3}


def commands(name):
    lines = (WALKS / f"{name}.sh").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


@pytest.mark.parametrize("name", MOST)
def test_it_takes_no_more_commands_than_before(name):
    assert len(commands(name)) <= MOST[name]


@pytest.mark.parametrize("name", MOST)
def test_every_option_exists(name):
    for line in commands(name):
        program, *words = shlex.split(line)
        assert program == "latentfoley"
        command = typer.main.get_command(app)
        while hasattr(command, "commands"):
            command = command.commands[words.pop(0)]
        command.make_context(program, words)  # raises where it does not parse


def test_the_figures_are_of_these_commands():
    for name, found in json.loads((WALKS / "walks.json").read_text()).items():
        assert [step["command"] for step in found["steps"]] == commands(name)
        assert found["commands"] == len(commands(name))


def test_the_guide_states_what_the_recordist_waits():
    found = json.loads((WALKS / "walks.json").read_text())["recordist"]
    guide = (WALKS.parents[1] / "docs" / "own-model.md").read_text(encoding="utf-8")
    assert f"took {found['seconds']:.0f} s on two x86 cores" in guide
    assert found["commands"] == 7 and "Seven commands" in guide
