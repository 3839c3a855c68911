"""Processes of one thread each, every one with the model and the judges loaded."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from judges import Judges

import latentfoley

Work = Callable[[Judges, Any], Any]
_loaded: dict[str, Judges] = {}  # one to a process, read once


def load_judges(model: str, classifier: Path) -> Judges:
    """Load the model and the classifier on the CPU, with one thread."""
    torch.set_num_threads(1)
    return Judges(latentfoley.load(model, device="cpu"), classifier)


def each(
    work: Work, items: Iterable[Any], model: str, classifier: Path, workers: int
) -> Iterator[tuple[Any, Any]]:
    """Yield (item, work(judges, item)) as they are done; in this process for one worker."""
    if workers == 1:
        judges = load_judges(model, classifier)
        yield from ((item, work(judges, item)) for item in items)
        return
    with ProcessPoolExecutor(
        workers, get_context("spawn"), initializer=_begin, initargs=(model, classifier)
    ) as pool:
        waiting = {pool.submit(partial(_call, work), item): item for item in items}
        for done in as_completed(waiting):
            yield waiting[done], done.result()


def _begin(model: str, classifier: Path) -> None:
    _loaded["judges"] = load_judges(model, classifier)


def _call(work: Work, item: Any) -> Any:
    return work(_loaded["judges"], item)
