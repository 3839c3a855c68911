"""The options that commands share: their defaults are those of Python."""

import inspect
import re

import pytest

from latentfoley.cli.edit import edit
from latentfoley.cli.evaluate import evaluate
from latentfoley.cli.generate import generate
from latentfoley.cli.info import command as shell_command
from latentfoley.request import SamplingRequest
from records import record


@pytest.mark.parametrize("command", [generate, edit, evaluate])
def test_a_command_and_python_have_the_same_defaults(command):
    defaults = {name: p.default for name, p in inspect.signature(command).parameters.items()}
    shared = defaults.keys() & SamplingRequest.model_fields.keys() - {"prompts"}
    assert {"steps", "guidance", "sampler", "seed", "candidates"} <= shared
    for name in shared:
        # How many steps are usual depends on `fast`: None leaves that to the request.
        expected = None if name == "steps" else SamplingRequest.model_fields[name].default
        assert defaults[name] == expected, name


@pytest.mark.parametrize("command", ["generate", "edit"])
def test_every_option_that_info_prints_is_taken(run, command):
    """A record with every setting that `load` and both requests share."""
    made = record(
        negative_prompt="hum", revision="v1", tokenizer="folder", prediction="v_prediction"
    )
    printed = set(re.findall(r"(--[a-z-]+) ", shell_command(made)))
    assert {"--revision", "--tokenizer", "--prediction", "--negative-prompt"} <= printed
    taken = run(command, "--help").out
    of_generate = {"--duration"} if command == "edit" else set()
    assert [option for option in printed - of_generate if f"{option} " not in taken] == []
