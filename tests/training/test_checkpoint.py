"""Training state on disk: whole or not there, and never code."""

import os
import pickle

import pytest
import torch

from latentfoley.errors import TrainingError
from latentfoley.training.checkpoint import FILE, load_checkpoint, save_checkpoint


class Command:
    """What a hostile checkpoint would hold."""

    def __reduce__(self):
        return os.mkdir, ("/tmp/latentfoley-was-here",)


def test_what_is_saved_is_loaded(tmp_path):
    state = {"step": 7, "modules": {"a": {"w": torch.arange(6.0)}}}
    save_checkpoint(tmp_path / "new folder", state)
    loaded = load_checkpoint(tmp_path / "new folder")
    assert loaded["step"] == 7
    assert torch.equal(loaded["modules"]["a"]["w"], torch.arange(6.0))
    assert [path.name for path in (tmp_path / "new folder").iterdir()] == [FILE]


def test_nothing_saved_is_nothing_loaded(tmp_path):
    assert load_checkpoint(tmp_path) is None


def test_a_failed_write_leaves_the_old_one(tmp_path, monkeypatch):
    save_checkpoint(tmp_path, {"step": 1})

    def fail(state, file):
        file.write(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(TrainingError, match=r"No space left.*the previous one is intact"):
        save_checkpoint(tmp_path, {"step": 2})
    assert load_checkpoint(tmp_path) == {"step": 1}
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_no_code_is_run(tmp_path):
    with (tmp_path / FILE).open("wb") as file:
        pickle.dump(Command(), file)
    with pytest.raises(TrainingError, match=r"cannot be read .*remove it to start anew"):
        load_checkpoint(tmp_path)
    torch.save({"step": Command()}, tmp_path / FILE)
    with pytest.raises(TrainingError, match="cannot be read"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize("kept", [0, 10, 500])
def test_a_truncated_file(tmp_path, kept):
    save_checkpoint(tmp_path, {"w": torch.zeros(1000)})
    (tmp_path / FILE).write_bytes((tmp_path / FILE).read_bytes()[:kept])
    with pytest.raises(TrainingError, match="cannot be read"):
        load_checkpoint(tmp_path)
