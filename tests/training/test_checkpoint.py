"""Training state on disk: whole or not there, and never code."""

import errno
import os
import pickle
import resource
from pathlib import Path

import pytest
import torch

from latentfoley.errors import TrainingError, TrainingWarning
from latentfoley.training.checkpoint import (
    FOLDER,
    load_checkpoint,
    load_step,
    save_checkpoint,
    saved,
)


class Command:
    """What a hostile checkpoint would hold."""

    MADE = Path("/tmp/latentfoley-was-here")

    def __reduce__(self):
        return os.mkdir, (str(self.MADE),)


def save(folder, step, **changes):
    save_checkpoint(folder, {"step": step, "w": torch.zeros(1000)}, **({"keep": 3} | changes))


def steps(folder):
    return [int(path.stem) for path in saved(folder)]


def test_what_is_saved_is_loaded(tmp_path):
    state = {"step": 7, "modules": {"a": {"w": torch.arange(6.0)}}}
    save_checkpoint(tmp_path / "new folder", state, keep=1)
    loaded = load_checkpoint(tmp_path / "new folder")
    assert loaded["step"] == 7
    assert torch.equal(loaded["modules"]["a"]["w"], torch.arange(6.0))
    assert [path.name for path in (tmp_path / "new folder" / FOLDER).iterdir()] == ["0000007.pt"]


def test_nothing_saved_is_nothing_loaded(tmp_path):
    assert load_checkpoint(tmp_path) is None


class TestKeeping:
    def test_the_last_ones_stay(self, tmp_path):
        for step in range(100, 700, 100):
            save(tmp_path, step, keep=2)
        assert steps(tmp_path) == [600, 500]
        assert load_checkpoint(tmp_path)["step"] == 600

    def test_and_the_best(self, tmp_path):
        for step in range(100, 700, 100):
            save(tmp_path, step, keep=2, best_step=200 if step >= 200 else 100)
        assert steps(tmp_path) == [600, 500, 200]
        assert load_step(tmp_path, 200)["step"] == 200

    def test_what_a_kill_left_while_saving_goes(self, tmp_path):
        save(tmp_path, 1)
        (tmp_path / FOLDER / ".latentfoley-0123456789abcdef.part").write_bytes(b"half of it")
        assert load_checkpoint(tmp_path)["step"] == 1
        save(tmp_path, 3)
        assert sorted(path.name for path in (tmp_path / FOLDER).iterdir()) == [
            "0000001.pt",
            "0000003.pt",
        ]

    @pytest.mark.parametrize(
        "name", ["0000010 (1).pt", "best.pt", "._0000010.pt", "0000010-backup.pt", "1.pt"]
    )
    def test_files_of_other_names_are_left_alone(self, tmp_path, name):
        save(tmp_path, 10)
        (tmp_path / FOLDER / name).write_bytes(b"mine")
        assert load_checkpoint(tmp_path)["step"] == 10
        save(tmp_path, 20)
        assert steps(tmp_path) == [20, 10]
        assert (tmp_path / FOLDER / name).read_bytes() == b"mine"


class TestAFullDisk:
    """However it shows, the older checkpoint stays and nothing else does."""

    @pytest.mark.parametrize(
        "error",
        [
            OSError(errno.ENOSPC, "No space left on device"),
            RuntimeError("[enforce fail at inline_container.cc:672] No space left on device"),
        ],
        ids=["the system's error", "torch's error"],
    )
    def test_a_write_that_fails(self, tmp_path, monkeypatch, error):
        save(tmp_path, 1)

        def fail(state, file):
            file.write(b"half of it")
            raise error

        monkeypatch.setattr(torch, "save", fail)
        with pytest.raises(TrainingError, match=r"No space left.*the previous one is intact"):
            save(tmp_path, 2)
        assert [path.name for path in (tmp_path / FOLDER).iterdir()] == ["0000001.pt"]

    def test_the_system_refuses_the_file(self, tmp_path):
        """A limit on the size of files fails in the same calls as a disk without room."""
        save(tmp_path, 1)
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1024, before[1]))
        try:
            with pytest.raises(TrainingError, match="the previous one is intact"):
                save(tmp_path, 2)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert steps(tmp_path) == [1]
        assert load_checkpoint(tmp_path)["step"] == 1


class TestDamage:
    @pytest.mark.parametrize("kept", [0, 10, 500])
    def test_the_one_before_is_taken_and_that_is_said(self, tmp_path, kept):
        for step in (1, 2, 3):
            save(tmp_path, step)
        newest = saved(tmp_path)[0]
        newest.write_bytes(newest.read_bytes()[:kept])
        with pytest.warns(TrainingWarning, match=r"0000003.pt cannot be read .*the one be"):
            assert load_checkpoint(tmp_path)["step"] == 2

    @pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
    def test_a_flipped_bit_is_damage(self, tmp_path, share):
        for step in (1, 2):
            save_checkpoint(tmp_path, {"step": step, "x": torch.zeros(5000)}, keep=2)
        path = tmp_path / FOLDER / "0000002.pt"
        data = bytearray(path.read_bytes())
        data[int(share * len(data))] ^= 1
        path.write_bytes(data)
        with pytest.warns(TrainingWarning, match="is damaged"):
            assert load_checkpoint(tmp_path)["step"] == 1

    @pytest.mark.filterwarnings("ignore::latentfoley.errors.TrainingWarning")
    def test_none_can_be_read(self, tmp_path):
        for step in (1, 2):
            save(tmp_path, step)
        for path in saved(tmp_path):
            path.write_bytes(b"")
        with pytest.raises(TrainingError, match=r"no checkpoint .* can be read, of 2; remove them"):
            load_checkpoint(tmp_path)

    @pytest.mark.filterwarnings("ignore:Detected pickle protocol")
    @pytest.mark.filterwarnings("ignore::latentfoley.errors.TrainingWarning")
    def test_no_code_is_run(self, tmp_path):
        save(tmp_path, 1)
        with saved(tmp_path)[0].open("wb") as file:
            pickle.dump(Command(), file)
        with pytest.raises(TrainingError, match="can be read"):
            load_checkpoint(tmp_path)
        torch.save({"step": Command()}, saved(tmp_path)[0])
        with pytest.raises(TrainingError, match="can be read"):
            load_checkpoint(tmp_path)
        assert not Command.MADE.exists()


def test_the_single_file_of_an_early_version_is_gone_on_from(tmp_path):
    torch.save({"step": 5}, tmp_path / "checkpoint.pt")
    assert load_checkpoint(tmp_path)["step"] == 5
    save(tmp_path, 6)
    assert load_checkpoint(tmp_path)["step"] == 6
