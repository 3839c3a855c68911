"""One function over many tasks, in several processes, in order and in bounded memory."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from latentfoley.errors import InputError, TrainingError, show_warnings_plainly

Task = TypeVar("Task")
Result = TypeVar("Result")

MAX_WORKERS = 256


def require_workers(workers: int | None) -> int:
    """Return how many processes to use; None means one per core.

    Raises:
        InputError: outside 1 to 256.
    """
    n = os.cpu_count() or 1 if workers is None else workers
    if not 1 <= n <= MAX_WORKERS:
        raise InputError(f"{n} workers; allowed: 1 to {MAX_WORKERS}")
    return n


def ordered_map(
    function: Callable[[Task], Result], tasks: Iterable[Task], workers: int
) -> Iterator[Result]:
    """Yield `function(task)` for every task, in their order.

    At most two tasks per process are waiting, so neither tasks nor results pile up. One worker
    means this process. What a task raises is raised here.

    Raises:
        TrainingError: a process was ended from outside, as the system does when memory runs out.
    """
    if workers == 1:
        yield from map(function, tasks)
        return
    context = multiprocessing.get_context("spawn")  # a fork of a process with threads may hang
    pool = ProcessPoolExecutor(workers, context, _prepare_process)
    waiting: deque[Future[Result]] = deque()
    try:
        for task in tasks:
            waiting.append(pool.submit(function, task))
            if len(waiting) >= 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool:
        raise TrainingError(
            "a worker process was ended from outside, perhaps for want of memory; the same "
            "command goes on, with fewer --workers if need be"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _prepare_process() -> None:
    """Leave Ctrl-C to the parent, and end with it even if it is killed."""
    show_warnings_plainly()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
