"""Tasks in several processes: in order, bounded, and gone when the parent is."""

import os
import signal
import subprocess
import sys
import time

import pytest

from latentfoley.data.parallel import ordered_map, require_workers
from latentfoley.errors import InputError, TrainingError

PROGRAM = """
import multiprocessing, os, time
from latentfoley.data.parallel import ordered_map

if __name__ == "__main__":
    results = ordered_map(time.sleep, [0, 600, 600, 600, 600], 2)
    next(results)
    print(*[child.pid for child in multiprocessing.active_children()], flush=True)
    os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_order(workers):
    assert list(ordered_map(abs, range(-9, 0), workers)) == list(range(9, 0, -1))


@pytest.mark.parametrize("workers", [1, 2])
def test_what_a_task_raises_is_raised(workers):
    with pytest.raises(ValueError, match="invalid literal"):
        list(ordered_map(int, ["1", "x", "2"], workers))


def test_tasks_are_drawn_as_they_are_needed():
    drawn = []
    results = ordered_map(abs, (drawn.append(k) or k for k in range(100)), 2)
    next(results)
    results.close()
    assert len(drawn) <= 5


def test_a_process_that_is_ended_is_said():
    with pytest.raises(TrainingError, match="a worker process was ended from outside"):
        list(ordered_map(os._exit, [1], 2))


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


@pytest.mark.parametrize("workers", [0, -1, 257])
def test_how_many(workers):
    with pytest.raises(InputError, match="workers; allowed: 1 to 256"):
        require_workers(workers)
