"""Tasks in several processes or threads: in order, bounded, and gone when the parent is."""

import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from latentfoley.errors import InputError, TrainingError
from latentfoley.pools import map_in_processes, map_in_threads, n_cores, require_workers

PROGRAM = """
import multiprocessing, os, time
from latentfoley.pools import map_in_processes

if __name__ == "__main__":
    results = map_in_processes(time.sleep, [0, 600, 600, 600, 600], 2)
    next(results)
    print(*[child.pid for child in multiprocessing.active_children()], flush=True)
    os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_order(workers):
    assert list(map_in_processes(abs, range(-9, 0), workers)) == list(range(9, 0, -1))


@pytest.mark.parametrize("workers", [1, 2])
def test_what_a_task_raises_is_raised(workers):
    with pytest.raises(ValueError, match="invalid literal"):
        list(map_in_processes(int, ["1", "x", "2"], workers))


def test_tasks_are_drawn_as_they_are_needed():
    drawn = []
    results = map_in_processes(abs, (drawn.append(k) or k for k in range(100)), 2)
    next(results)
    results.close()
    assert len(drawn) <= 5


def test_a_process_that_is_ended_is_said():
    with pytest.raises(TrainingError, match="a worker process was ended from outside"):
        list(map_in_processes(os._exit, [1], 2))


def test_no_process_outlives_a_parent_that_was_killed(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    end = subprocess.run(
        [sys.executable, tmp_path / "program.py"], capture_output=True, text=True, timeout=60
    )
    assert end.returncode == -signal.SIGKILL
    children = [int(pid) for pid in end.stdout.split()]
    assert len(children) == 2
    deadline = time.monotonic() + 20
    while any(map(alive, children)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(alive, children))


def alive(pid):
    """Return whether a process is there and not just waiting to be buried."""
    try:
        with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_workers_are_the_cores_that_may_be_used(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3}, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert n_cores() == require_workers(None) == 1


def test_threads_keep_the_order_and_compute_on_one_core_each():
    def work(k):
        time.sleep(0.01 * (k == 0))
        return k, torch.get_num_threads()

    assert list(map_in_threads(work, range(40))) == [(k, 1) for k in range(40)]


def test_what_a_thread_raises_is_raised():
    with pytest.raises(ZeroDivisionError):
        list(map_in_threads(lambda k: 1 / k, range(8)))


@pytest.mark.parametrize("workers", [0, -1, 257])
def test_how_many(workers):
    with pytest.raises(InputError, match="workers; allowed: 1 to 256"):
        require_workers(workers)
