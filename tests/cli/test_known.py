"""A prompt that is far from what a model knows, and the list of what it knows, on the terminal."""

import json

import pytest

import micro


@pytest.fixture
def folder(tmp_path):
    return micro.write_knowing_folder(tmp_path / "model")


def test_generate_says_it_once_on_stderr_and_in_json(folder, run, tmp_path):
    command = ("generate", "the sea", "-n", 2, "--model", folder, "-o", tmp_path / "out")
    end = run(*command, "--duration", 0.2, "--steps", 1)
    assert (end.code, end.err.count("'the sea' is far from what this model knows")) == (0, 1)
    end = run(*command, "--duration", 0.2, "--steps", 1, "--json")
    assert json.loads(end.out.splitlines()[0])["far"]["text"] == "the sea"


def test_models_info_lists_the_kinds(folder, run):
    assert "knows            rain, dog\n" in run("models", "info", folder).out
    assert json.loads(run("models", "info", folder, "--json").out)["kinds"] == ["rain", "dog"]
