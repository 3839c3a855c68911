"""A small network on a CPU: each row of a batch by a thread of its own.

OpenMP's threads meet at the end of every operation, which for small ones takes as long as the
operation (docs/decisions/0139). The rows of a batch, which under guidance are two for every clip,
have nothing to do with each other: their threads meet once a call.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from threading import Barrier

import torch
from torch import Tensor

Network = Callable[..., Tensor]


class RowsApart:
    """A network of tensors with a batch dimension, computed row by row where that is faster: with
    several rows, several threads, and no gradients."""

    def __init__(self, network: Network) -> None:
        self.network = network

    def __call__(self, *inputs: Tensor) -> Tensor:
        """Return what the network returns for these inputs."""
        n_rows, n_threads = len(inputs[0]), torch.get_num_threads()
        if min(n_rows, n_threads) < 2 or torch.is_grad_enabled():
            return self.network(*inputs)
        n_apart = min(n_rows, n_threads)
        rows = zip(*(tensor.split(1) for tensor in inputs), strict=True)
        pool = _pool(os.getpid(), n_apart, n_threads // n_apart)
        return torch.cat(list(pool.map(partial(_row, self.network), rows)))


@torch.no_grad()
def _row(network: Network, inputs: tuple[Tensor, ...]) -> Tensor:
    return network(*inputs)


@cache
def _pool(process: int, n_workers: int, n_threads: int) -> ThreadPoolExecutor:
    """Return the workers of a process, each with so many of OpenMP's threads."""
    before = torch.get_num_threads()
    pool = ThreadPoolExecutor(n_workers, "latentfoley-row", _begin, (n_threads,))
    barrier = Barrier(n_workers)  # each task waits, so that each is another worker's
    list(pool.map(lambda _: barrier.wait(), range(n_workers)))
    torch.set_num_threads(before)  # of this thread it was; but new ones inherit the latest
    return pool


def _begin(n_threads: int) -> None:
    torch.set_num_threads(n_threads)
    torch.get_num_threads()  # a thread takes what was set last when it first asks: now, not later
