"""Several processes, one run: who this process is, and how all of them agree.

`torchrun` starts the processes and tells each of the others in its environment; without it there is
one process, and everything here is free. Every process draws the same global batch and takes its
own rows, and gradients are averaged (`optimisation.py`), so that n processes make the steps that
one would. Only rank 0 writes; an error there ends all processes.

A contrast compares every pair of clips of a batch, and BatchNorm takes its statistics over all of
them. There each process computes the loss of the whole batch from the rows of all, so a row's
gradient is the sum over processes; the mean of the gradients is then that of the one loss.
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
def init_process_group(device: torch.device) -> Iterator[torch.device]:
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


def on_rank_zero(work: Callable[[], T]) -> T | None:
    """Do `work` on rank 0 while the others wait; return None on those.

    Raises:
        TrainingError: on the others, if the work failed on rank 0.
    """
    if n_processes() == 1:
        return work()
    result, failure = None, None
    if rank() == 0:
        try:
            result = work()
        except Exception as error:
            failure = error
    if all_reduce_mean({"failed": float(failure is not None)})["failed"]:
        raise failure or TrainingError("the first process stopped; its message says why")
    return result


def rank_zero_first(build: Callable[[], T]) -> T:
    """Call `build` on rank 0 and then on the others, which read what it wrote."""
    built = on_rank_zero(build)
    return build() if built is None else built


def all_reduce_mean(values: Mapping[str, float]) -> dict[str, float]:
    """Return the means over the processes; all give the same names."""
    if n_processes() == 1:
        return dict(values)
    vector = torch.tensor(list(values.values()), dtype=torch.float64)
    means = mean_over_processes(vector).tolist()
    return dict(zip(values, means, strict=True))


def mean_over_processes(tensor: Tensor) -> Tensor:
    """Return the mean of a tensor over the processes, in place."""
    if n_processes() > 1:
        collective(dist.all_reduce, tensor)
        tensor /= n_processes()
    return tensor


def gather_rows(tensor: Tensor) -> Tensor:
    """Return the rows of every process, those of the first process first; no gradients."""
    if n_processes() == 1:
        return tensor
    parts = [torch.empty_like(tensor) for _ in range(n_processes())]
    collective(dist.all_gather, parts, tensor.contiguous())
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
    mean = all_reduce_mean({name: value})[name]
    if all_reduce_mean({name: abs(value - mean)})[name]:
        raise TrainingError(
            f"the processes do not agree on {name} (here {value}): the run's folder must be on a "
            "disk that all of them share"
        )


def collective(operation: Callable[..., Any], *tensors: Any) -> None:
    """Call a collective operation of torch.distributed.

    Raises:
        TrainingError: another process has died in the meantime.
    """
    try:
        operation(*tensors)
    except RuntimeError as error:
        reason = str(error).partition("\n")[0]
        raise TrainingError(
            f"another process of this run is gone ({reason}); its own message says why. The same "
            "command resumes from the last checkpoint"
        ) from error


class _Sum(torch.autograd.Function):
    """The sum over processes; so is its gradient."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        return _Sum._reduce(tensor)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return _Sum._reduce(gradients[0])

    @staticmethod
    def _reduce(tensor: Tensor) -> Tensor:
        tensor = tensor.clone()
        collective(dist.all_reduce, tensor)
        return tensor


def sum_with_gradients(tensor: Tensor) -> Tensor:
    """Return the sum of a tensor over the processes."""
    if n_processes() == 1:
        return tensor
    total: Tensor = _Sum.apply(tensor)
    return total


def gather_with_gradients(rows: Tensor) -> Tensor:
    """Return the rows of every process, those of the first process first; all have as many."""
    slots = [torch.zeros_like(rows) for _ in range(n_processes())]
    slots[rank()] = rows
    return sum_with_gradients(torch.cat(slots))


class GlobalBatchNorm2d(nn.BatchNorm2d):
    """BatchNorm over the global batch.

    In training by plain products also where there is one process: on a CPU, torch's own backward
    pass gives wrong gradients for weight and bias when the input lies in memory channels last and
    the gradient does not, as it is with this tower (seen with torch 2.13).
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        count = x.numel() // x.shape[1] * n_processes()
        mean = sum_with_gradients(x.sum(dim=(0, 2, 3))) / count
        centred = x - mean[:, None, None]
        variance = sum_with_gradients(centred.square().sum(dim=(0, 2, 3))) / count
        self._update_averages(mean.detach(), variance.detach() * count / (count - 1))
        scaled = centred * (self.weight / (variance + self.eps).sqrt())[:, None, None]
        return scaled + self.bias[:, None, None]

    @torch.no_grad()
    def _update_averages(self, mean: Tensor, variance: Tensor) -> None:
        """Move the running averages, which are used outside training."""
        for name, value in (("running_mean", mean), ("running_var", variance)):
            self.get_buffer(name).lerp_(value, self.momentum or 0.0)
        self.get_buffer("num_batches_tracked").add_(1)


def share_statistics(model: nn.Module) -> None:
    """Let every BatchNorm of a model take its statistics over the global batch."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if type(child) is nn.BatchNorm2d:
                shared = GlobalBatchNorm2d(child.num_features, child.eps, child.momentum)
                shared.load_state_dict(child.state_dict())
                setattr(module, name, shared.to(child.weight.device))
