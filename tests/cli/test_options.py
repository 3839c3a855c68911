"""The options that commands share: their defaults are those of Python."""

import inspect

import pytest

from latentfoley.cli.edit import edit
from latentfoley.cli.evaluate import evaluate
from latentfoley.cli.generate import generate
from latentfoley.request import SamplingRequest


@pytest.mark.parametrize("command", [generate, edit, evaluate])
def test_a_command_and_python_have_the_same_defaults(command):
    defaults = {name: p.default for name, p in inspect.signature(command).parameters.items()}
    shared = defaults.keys() & SamplingRequest.model_fields.keys() - {"prompts"}
    assert {"steps", "guidance", "sampler", "seed", "candidates"} <= shared
    for name in shared:
        assert defaults[name] == SamplingRequest.model_fields[name].default, name
