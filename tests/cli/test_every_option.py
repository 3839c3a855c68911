"""Whatever is given to whichever option: an answer in words, and never a fault of ours.

The commands and their options are read off the command line itself, so that a new option is tried
as soon as it is there. The default suite draws a few values per option, the slow one tries all.
"""

import random
import shutil

import pytest
import soundfile
import typer

from latentfoley.cli import app
from signals import tone

VALUES = (
    *("", " ", "-1", "0", "nan", "1e400", "-1e38", "9" * 400, "x", "Ünï", "c" * 300),
    *("\x1b[31mred", "\udcff", "..", "/dev/null", "nothing/there.wav", "a:b", "@", "-"),
)
PER_OPTION = 1

# What a command needs beside the option that is tried; {micro} is a model folder.
ARGUMENTS = {
    "generate": ["rain", "--model", "{micro}", "--steps", "1", "--duration", "0.1"],
    "edit": ["vary", "tone.wav", "--model", "{micro}", "--steps", "1"],
    "batch": ["none.jsonl", "--out", "out"],  # each that is there would start a Ray
    "info": ["tone.wav"],
    "doctor": [],
    "evaluate": ["sounds", "sounds", "--no-cache", "--resamples", "10"],
    "ablate": ["recipe.toml"],
    "data scan": ["sounds", "--workers", "1"],
    "data prepare": ["sounds", "out", "--workers", "1"],
    "data encode": ["sounds", "out"],
    "train clap": ["recipe.toml"],
    "train vae": ["recipe.toml"],
    "train vocoder": ["recipe.toml"],
    "train diffusion": ["recipe.toml"],
    "train export": ["sounds", "out"],
    "train report": ["sounds"],
    "models list": [],
    "models info": ["{micro}"],
    "models download": ["nobody/nothing"],
    "models convert": ["{micro}", "out"],
    "models export": ["{micro}", "out"],
}


def commands(group=None, path=()):
    """Yield the path and the click command of every command that does something."""
    for name, command in (group or typer.main.get_command(app)).commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


CASES = [
    (path, parameter.opts[-1])
    for path, command in commands()
    if path in ARGUMENTS
    for parameter in command.params
    if parameter.param_type_name == "option" and not parameter.is_flag
]


def test_every_command_is_tried():
    assert {path for path, _ in commands()} - set(ARGUMENTS) <= {"serve", "ui"}


@pytest.fixture
def attempt(run, tmp_path, micro_model_folder):
    """Return a function that runs a command with one option set, in a folder with a recording."""
    (tmp_path / "sounds").mkdir()
    soundfile.write(tmp_path / "tone.wav", tone(duration_s=0.2), 16_000)
    shutil.copy(tmp_path / "tone.wav", tmp_path / "sounds" / "a.wav")
    (tmp_path / "recipe.toml").write_text("steps = 1\n")

    def attempt(path, *words):
        arguments = [word.format(micro=micro_model_folder) for word in ARGUMENTS[path]]
        return run(*path.split(), *arguments, *words)

    return attempt


def require_an_answer(end, given):
    assert end.code in (0, 1, 2), (given, end)
    assert "Traceback" not in end.err, given
    assert "fault of ours" not in end.err, (given, end.err)
    assert "\x1b" not in end.err + end.out, given


@pytest.mark.parametrize(("path", "option"), CASES)
def test_some_values(attempt, path, option):
    for value in random.Random(f"{path} {option}").sample(VALUES, PER_OPTION):
        require_an_answer(attempt(path, f"{option}={value}"), (path, option, value))


@pytest.mark.slow
@pytest.mark.parametrize(("path", "option"), CASES)
def test_all_values(attempt, path, option):
    for value in VALUES:
        require_an_answer(attempt(path, f"{option}={value}"), (path, option, value))
