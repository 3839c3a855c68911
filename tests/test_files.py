"""Whole or absent, and one writer at a time."""

import os
import subprocess
import sys
import tempfile
import time

import pytest

from latentfoley.errors import InputError
from latentfoley.files import PART, aside, locked


class TestAside:
    def test_a_file_and_a_folder_appear_whole(self, tmp_path):
        with aside(tmp_path / "new" / "a.txt") as part:
            part.write_text("whole")
            assert not (tmp_path / "new" / "a.txt").exists()
        assert (tmp_path / "new" / "a.txt").read_text() == "whole"
        with aside(tmp_path / "folder") as part:
            (part / "deep").mkdir(parents=True)
        assert (tmp_path / "folder" / "deep").is_dir()

    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
    @pytest.mark.parametrize("folder", [True, False])
    def test_a_failure_leaves_what_was_there(self, tmp_path, error, folder):
        (tmp_path / "a").write_text("before")
        with pytest.raises(error), aside(tmp_path / "a") as part:
            part.mkdir() if folder else part.write_text("half")
            raise error
        assert [path.name for path in tmp_path.iterdir()] == ["a"]
        assert (tmp_path / "a").read_text() == "before"

    def test_what_fails_is_told_by_the_name_that_was_asked_for(self, tmp_path):
        with pytest.raises(OSError, match="No such file") as failure, aside(tmp_path / "a") as part:
            (part / "deep" / "b").mkdir()
        assert failure.value.filename == str(tmp_path / "a" / "deep" / "b")

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
    def test_a_pipe_is_not_replaced(self, tmp_path):
        os.mkfifo(tmp_path / "a")
        with pytest.raises(InputError, match="is a device or a pipe"), aside(tmp_path / "a"):
            pytest.fail("nothing is written")
        assert (tmp_path / "a").is_fifo()

    def test_nobody_elses_name_is_taken(self, tmp_path):
        for name in ("a.tmp", "a.part", ".a.part"):
            (tmp_path / name).mkdir()
        with aside(tmp_path / "a") as part:
            part.mkdir()
            assert part.match(PART)
        assert {path.name for path in tmp_path.iterdir()} == {"a", "a.tmp", "a.part", ".a.part"}


HOLD = """
import sys, time
from pathlib import Path
from latentfoley.files import locked
with locked(Path(sys.argv[1]), "data set"):
    print("held", flush=True)
    time.sleep(60)
"""


class TestLocked:
    @pytest.fixture
    def holder(self, tmp_path):
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, tmp_path / "run"], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()
        process.wait()
        process.stdout.close()

    def test_the_second_is_told_who_holds_it(self, tmp_path, holder):
        says = rf"the data set '.*run' is in use by process {holder.pid} \(-c "
        with pytest.raises(InputError, match=says), locked(tmp_path / "run", "data set"):
            pass

    def test_a_program_is_named_as_its_user_calls_it(self, tmp_path, monkeypatch):
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        monkeypatch.setattr(sys, "argv", ["/somewhere/latentfoley/__main__.py", "data", "prepare"])
        with locked(tmp_path / "run", "data set"):
            (owner,) = tmp_path.rglob("*.owner")
            assert owner.read_text() == f"process {os.getpid()} (latentfoley data prepare)"

    def test_another_spelling_is_the_same_place(self, tmp_path, holder):
        other = tmp_path / "x" / ".." / "run"
        with pytest.raises(InputError, match="in use"), locked(other, "data set"):
            pass

    def test_death_releases_it(self, tmp_path, holder):
        holder.kill()
        holder.wait()
        for _ in range(100):
            try:
                with locked(tmp_path / "run", "data set"):
                    return
            except InputError:
                time.sleep(0.05)
        raise AssertionError("still held")

    def test_it_is_released_at_the_end_and_leaves_nothing(self, tmp_path):
        for _ in range(2):
            with locked(tmp_path / "run", "data set"):
                pass
        assert list(tmp_path.iterdir()) == []
