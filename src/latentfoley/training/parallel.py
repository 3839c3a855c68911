"""Several processes, one run: who this process is, and how all of them agree.

`torchrun` starts the processes and tells each of the others in its environment; without it there is
one process, and everything here is free. Every process draws the same global batch and takes its
own rows, gradients are averaged (`descent.py`), so that n processes make the steps that one would.
The first process alone writes; what fails there fails everywhere, and nobody waits for the dead.
"""

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from latentfoley.errors import InputError, TrainingError

T = TypeVar("T")

# While the first process fetches a model or exports; torchrun ends those whose peer died.
_PATIENCE = timedelta(days=1)
_BUCKET = 2**24  # gradients averaged at a time: bounds the memory of the copies


@contextlib.contextmanager
def joined(device: torch.device) -> Iterator[torch.device]:
    """Join the processes of this run, if torchrun started several; yield this one's device.

    Raises:
        InputError: there are more processes on this machine than GPUs.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield device
        return
    if device.type == "cuda":
        device = _own_gpu(int(os.environ["LOCAL_RANK"]))
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, timeout=_PATIENCE)
    try:
        yield device
    finally:
        dist.destroy_process_group()


def _own_gpu(local_rank: int) -> torch.device:
    n_gpus = torch.cuda.device_count()
    if local_rank >= n_gpus:
        raise InputError(
            f"process {local_rank + 1} of this machine has no GPU of its own: "
            f"--nproc-per-node may be at most {n_gpus}, or give --device cpu"
        )
    torch.cuda.set_device(local_rank)
    return torch.device("cuda", local_rank)


def rank() -> int:
    """Return the number of this process, 0 for the first."""
    return dist.get_rank() if dist.is_initialized() else 0


def n_processes() -> int:
    """Return how many processes make this run."""
    return dist.get_world_size() if dist.is_initialized() else 1


def on_first(work: Callable[[], T]) -> T | None:
    """Do `work` on the first process while the others wait; return None on those.

    Raises:
        TrainingError: on the others, if the work failed on the first.
    """
    if n_processes() == 1:
        return work()
    result, failure = None, None
    if rank() == 0:
        try:
            result = work()
        except Exception as error:
            failure = error
    if mean_of({"failed": float(failure is not None)})["failed"]:
        raise failure or TrainingError("the first process stopped; its message says why")
    return result


def first_alone(build: Callable[[], T]) -> T:
    """Call `build` on the first process and then on the others, which read what it wrote."""
    built = on_first(build)
    return build() if built is None else built


def mean_of(values: Mapping[str, float]) -> dict[str, float]:
    """Return the means over the processes; all give the same names."""
    if n_processes() == 1:
        return dict(values)
    vector = torch.tensor(list(values.values()), dtype=torch.float64)
    means = mean_over_processes(vector).tolist()
    return dict(zip(values, means, strict=True))


def mean_over_processes(tensor: Tensor) -> Tensor:
    """Return the mean of a tensor over the processes, in place."""
    if n_processes() > 1:
        together(dist.all_reduce, tensor)
        tensor /= n_processes()
    return tensor


def gather_rows(tensor: Tensor) -> Tensor:
    """Return the rows of every process, those of the first process first; no gradients."""
    if n_processes() == 1:
        return tensor
    parts = [torch.empty_like(tensor) for _ in range(n_processes())]
    together(dist.all_gather, parts, tensor.contiguous())
    return torch.cat(parts)


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace every gradient by its mean over the processes."""
    if n_processes() == 1:
        return
    for bucket in _buckets([p.grad for p in parameters if p.grad is not None]):
        flat = mean_over_processes(torch.cat([gradient.flatten() for gradient in bucket]))
        parts = flat.split([gradient.numel() for gradient in bucket])
        for gradient, mean in zip(bucket, parts, strict=True):
            gradient.copy_(mean.view_as(gradient))


def _buckets(tensors: list[Tensor]) -> Iterator[list[Tensor]]:
    bucket: list[Tensor] = []
    for tensor in tensors:
        bucket.append(tensor)
        if sum(t.numel() for t in bucket) >= _BUCKET:
            yield bucket
            bucket = []
    if bucket:
        yield bucket


def require_same(name: str, value: int) -> None:
    """Check that all processes have the same value.

    Raises:
        TrainingError: they do not.
    """
    mean = mean_of({name: value})[name]
    if mean_of({name: abs(value - mean)})[name]:
        raise TrainingError(
            f"the processes do not agree on {name} (here {value}): the run's folder must be on a "
            "disk that all of them share"
        )


def together(collective: Callable[..., Any], *tensors: Any) -> None:
    """Call a collective operation of torch.

    Raises:
        TrainingError: another process has died in the meantime.
    """
    try:
        collective(*tensors)
    except RuntimeError as error:
        reason = str(error).partition("\n")[0]
        raise TrainingError(
            f"another process of this run is gone ({reason}); its own message says why. The same "
            "command goes on from the last checkpoint"
        ) from error
