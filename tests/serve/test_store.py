"""The table of jobs: what is in it survives, once, for as long as is said."""

import subprocess
import sys

import pytest

from latentfoley.errors import InputError
from latentfoley.serve.store import KEYS_KEPT_S, Job, Store


def job(k, *, key=None, owner="me"):
    return Job(f"{k:032x}", owner, key, "print", {"prompt": "rain"}, 1, created=float(k))


@pytest.fixture
def store(tmp_path):
    opened = Store(tmp_path)
    yield opened
    opened.close()


def end(store, k, *, n_bytes=0, ended=0.0):
    folder = store.folder_of(f"{k:032x}")
    folder.mkdir()
    (folder / "sound.wav").write_bytes(b"x" * n_bytes)
    store.end(f"{k:032x}", "done", sounds=({"identity": "a"},))
    store.update(f"{k:032x}", ended=ended)


class TestStore:
    def test_returns_what_was_added(self, store):
        store.add(job(1, key="k"))
        assert store.get(f"{1:032x}") == job(1, key="k")

    def test_outlives_a_kill_right_after_adding(self, tmp_path):
        program = (
            "import os, sys; from pathlib import Path\n"
            "from latentfoley.serve.store import Job, Store\n"
            f"Store(Path(sys.argv[1])).add(Job('{1:032x}', 'me', 'k', 'print', {{}}, 1))\n"
            "os._exit(9)\n"
        )
        assert subprocess.run([sys.executable, "-c", program, tmp_path], timeout=60).returncode == 9
        again = Store(tmp_path)
        assert [one.key for one in again.recover()] == ["k"]
        again.close()

    def test_a_key_belongs_to_its_owner(self, store):
        store.add(job(1, key="k"))
        assert store.add(job(2, key="k")).id == f"{1:032x}"
        assert store.add(job(3, key="k", owner="you")).id == f"{3:032x}"

    def test_one_server_to_a_folder(self, store, tmp_path):
        with pytest.raises(InputError, match="give this one a folder of its own"):
            Store(tmp_path)

    def test_recovery_keeps_the_order_and_drops_what_was_not_accepted(self, store):
        for k in (3, 1, 2):
            store.add(job(k))
        store.folder_of("f" * 32).mkdir()
        store.folder_of(f"{1:032x}").mkdir()
        assert [one.created for one in store.recover()] == [3, 1, 2]
        assert [folder.name for folder in store.folder.iterdir()] == [f"{1:032x}"]


class TestTidy:
    def test_removes_what_is_old_with_its_prompt_and_keeps_its_key(self, store):
        for k in (1, 2):
            store.add(job(k, key=f"{k}"))
            end(store, k, ended=100.0 * k)
        assert store.tidy(keep_s=50, keep_bytes=10**9, now=160) == 1
        old = store.get(f"{1:032x}")
        assert (old.state, old.request, old.sounds) == ("removed", {}, ())
        assert not store.folder_of(old.id).exists()
        assert store.add(job(3, key="1")).id == old.id
        assert store.get(f"{2:032x}").state == "done"

    def test_removes_the_oldest_until_the_rest_fits(self, store):
        for k in (1, 2, 3):
            store.add(job(k))
            end(store, k, n_bytes=1000, ended=float(k))
        assert store.tidy(keep_s=10**9, keep_bytes=2000, now=4) == 1
        states = [store.get(f"{k:032x}").state for k in (1, 2, 3)]
        assert states == ["removed", "done", "done"]

    def test_never_removes_what_has_not_ended(self, store):
        store.add(job(1))
        assert store.tidy(keep_s=0.001, keep_bytes=0, now=10**12) == 0

    def test_forgets_keys_in_the_end(self, store):
        store.add(job(1, key="k"))
        end(store, 1, ended=1.0)
        store.tidy(keep_s=1, keep_bytes=0, now=10.0)
        store.tidy(keep_s=1, keep_bytes=0, now=10.0 + KEYS_KEPT_S)
        assert store.get(f"{1:032x}") is None
