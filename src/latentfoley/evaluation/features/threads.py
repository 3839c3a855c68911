"""One function over many tasks, in as many threads as there are cores, in order.

Threads, not processes: decoding, resampling and networks leave Python's lock while they work, and
a process would load the embedder again. Every thread computes on one core, because many small
networks side by side are faster than one that is cut in pieces.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")


def in_threads(function: Callable[[Task], Result], tasks: Sequence[Task]) -> Iterator[Result]:
    """Yield `function(task)` for every task, in their order; what a task raises is raised here."""
    pool = ThreadPoolExecutor(_n_cores(), initializer=_on_one_core)
    try:
        yield from pool.map(function, tasks)
    finally:
        pool.shutdown(cancel_futures=True)


def _on_one_core() -> None:
    import torch

    torch.set_num_threads(1)  # of this thread; the others keep theirs


def _n_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
