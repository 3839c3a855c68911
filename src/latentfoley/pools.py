"""One function over many tasks, in several processes or threads, in order and in bounded memory.

By default there is one worker for each core that this process may use. That can be fewer than the
machine has: a container, a batch system and `taskset` limit it.
"""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import wait
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import TypeVar

from latentfoley.errors import InputError, TrainingError, show_warnings_plainly

Task = TypeVar("Task")
Result = TypeVar("Result")

MAX_WORKERS = 256

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_GONE_S = 0.5  # until a killed process is gone, unless the disk holds it up


def n_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def require_workers(workers: int | None) -> int:
    """Return how many processes to use; None means one per core that may be used.

    Raises:
        InputError: outside 1 to 256.
    """
    n = min(n_cores(), MAX_WORKERS) if workers is None else workers
    if not 1 <= n <= MAX_WORKERS:
        raise InputError(f"{n} workers; allowed: 1 to {MAX_WORKERS}")
    return n


def map_in_processes(
    function: Callable[[Task], Result], tasks: Iterable[Task], workers: int
) -> Iterator[Result]:
    """Yield `function(task)` for every task, in their order.

    At most two tasks per process are waiting, so neither tasks nor results pile up. One worker
    means this process. What a task raises is raised here. Ctrl-C kills the other processes, which
    leave what they were writing; see `files.remove_parts`.

    Raises:
        TrainingError: a process was ended from outside, as the system does when memory runs out.
    """
    if workers == 1:
        yield from map(function, tasks)
        return
    try:
        pool = ProcessPoolExecutor(workers, _Context(), _prepare_process)
        yield from in_order(pool, function, tasks, 2 * workers)
    except BrokenProcessPool:
        raise TrainingError(
            "a worker process was ended from outside, perhaps for want of memory; the same "
            "command resumes, with fewer --workers if need be"
        ) from None


def map_in_threads(function: Callable[[Task], Result], tasks: Iterable[Task]) -> Iterator[Result]:
    """Yield `function(task)` for every task, in their order, in one thread per core.

    Decoding, resampling and networks leave Python's lock while they work, and a process would load
    a network again. Every thread computes on one core, because many small networks side by side are
    faster than one that is cut into chunks. What a task raises is raised here.
    """
    pool = ThreadPoolExecutor(n_cores(), initializer=compute_on_one_core)
    yield from in_order(pool, function, tasks, 2 * n_cores())


def in_order(
    pool: Executor, function: Callable[[Task], Result], tasks: Iterable[Task], most_waiting: int
) -> Iterator[Result]:
    """Yield `function(task)` for every task, in their order, `most_waiting` at most under way."""
    waiting: deque[Future[Result]] = deque()
    try:
        for task in tasks:
            waiting.append(pool.submit(function, task))
            if len(waiting) >= most_waiting:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except KeyboardInterrupt:
        stop_workers()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def compute_on_one_core() -> None:
    """Let networks compute in one thread, from this thread; the others keep theirs."""
    import torch

    torch.set_num_threads(1)


@contextmanager
def on_one_core() -> Iterator[None]:
    """Let networks compute in one thread inside the block: sums do not depend on how many there
    are."""
    import torch

    threads = torch.get_num_threads()
    compute_on_one_core()
    try:
        yield
    finally:
        torch.set_num_threads(threads)


class _Worker(SpawnProcess):
    """A process that no Ctrl-C reaches from its first instruction on; its parent decides."""

    def start(self) -> None:
        """Start it; a signal to this process waits until it is known to have a child."""
        with _signals_later():
            super().start()


class _Context(SpawnContext):
    """Spawns workers: a fork of a process with threads may hang."""

    Process = _Worker


def stop_workers() -> None:
    """Kill the processes of all pools, and wait until they are gone."""
    workers = [one for one in multiprocessing.active_children() if isinstance(one, _Worker)]
    for worker in workers:
        worker.kill()
    for worker in workers:
        wait([worker.sentinel], _GONE_S)


@contextmanager
def _signals_later() -> Iterator[None]:
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _prepare_process() -> None:
    """Leave Ctrl-C to the parent, and end with it even if it is killed."""
    show_warnings_plainly()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
