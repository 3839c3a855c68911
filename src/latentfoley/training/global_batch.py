"""Looking across a batch whose rows lie on several processes, with gradients.

A contrast compares every pair of clips, and BatchNorm takes its statistics over all of them. Each
process computes the loss of the whole batch from the rows of all, so a row's gradient is the sum
over processes; `Descent` then takes the mean, which is the gradient of the one loss.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from latentfoley.training import parallel


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
        parallel.together(dist.all_reduce, tensor)
        return tensor


def sum_with_gradients(tensor: Tensor) -> Tensor:
    """Return the sum of a tensor over the processes."""
    if parallel.n_processes() == 1:
        return tensor
    total: Tensor = _Sum.apply(tensor)
    return total


def gather_with_gradients(rows: Tensor) -> Tensor:
    """Return the rows of every process, those of the first process first; all have as many."""
    slots = [torch.zeros_like(rows) for _ in range(parallel.n_processes())]
    slots[parallel.rank()] = rows
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
        count = x.numel() // x.shape[1] * parallel.n_processes()
        mean = sum_with_gradients(x.sum(dim=(0, 2, 3))) / count
        centred = x - mean[:, None, None]
        variance = sum_with_gradients(centred.square().sum(dim=(0, 2, 3))) / count
        self._follow(mean.detach(), variance.detach() * count / (count - 1))
        scaled = centred * (self.weight / (variance + self.eps).sqrt())[:, None, None]
        return scaled + self.bias[:, None, None]

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor) -> None:
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
