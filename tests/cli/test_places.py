"""A command takes the name of a remote place where it takes a folder."""

import json

import pytest

from folders import sound
from latentfoley.places import Place
from signals import noise


@pytest.fixture
def store(tmp_path):
    """A remote place with two recordings."""
    for k in range(2):
        sound(tmp_path / f"{k}.wav", noise(0.4, seed=k))
    place = Place.of(f"memory://{tmp_path.name}")
    for k in range(2):
        place.write(f"recordings/{k}.wav", (tmp_path / f"{k}.wav").read_bytes())
    yield place
    place.files.store.clear()


def test_from_recordings_to_scores(run, store, micro_model_folder):
    scanned = run("data", "scan", f"{store}/recordings", "--workers", 1, "--json")
    assert json.loads(scanned.out)["n_recordings"] == 2
    options = ("--workers", 1, "--held-out", 0)
    prepared = run("data", "prepare", f"{store}/recordings", f"{store}/prepared", *options)
    assert (prepared.code, prepared.err) == (0, "")
    assert f"1 in {store}/prepared" in prepared.out
    options = ("--model", micro_model_folder, "--duration", 0.32, "--device", "cpu")
    encoded = run("data", "encode", f"{store}/prepared", f"{store}/latents", *options, "--json")
    assert json.loads(encoded.out)["settings"]["shards"] == f"{store}/prepared"
    options = ("--no-cache", "--resamples", 20, "--json", "-")
    scored = run("evaluate", f"{store}/recordings", f"{store}/prepared", *options)
    assert json.loads(scored.out)["generated"] == f"{store}/recordings"


@pytest.mark.parametrize("command", ["data prepare", "data encode", "data scan", "evaluate"])
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("memry://a", "no file system is called 'memry'"),
        ("s3://key:secret@bucket/a", "holds credentials"),
        ("memory://nothing", "memory://nothing"),
    ],
)
def test_one_sentence_says_what_cannot_be(run, command, name, says):
    end = run(*command.split(), *[name] * (1 if command == "data scan" else 2))
    assert (end.code, end.out) == (2, "")
    assert says in end.err
    assert "secret" not in end.err


def test_a_model_is_not_looked_for_there(run, store):
    end = run("evaluate", f"{store}/recordings", f"{store}/recordings", "--seed", 1)
    assert "says how a model generates" in end.err


def test_layouts_of_data_sets_are_for_folders_of_this_machine(run, store):
    end = run("evaluate", "tiny", f"{store}/recordings", "--dataset", "esc50")
    assert end.code == 2
    assert "data prepare` it first" in end.err
