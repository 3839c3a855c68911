"""One optimisation step: by micro-batches, in a precision, clipped, the same on all processes.

A global batch of B clips is cut into P·M equal micro-batches for P processes and `accumulate` = M.
A loss is a mean over clips, so the mean of the micro-batches' gradients is that of the whole.
"""

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from latentfoley.config import Dtype
from latentfoley.devices import DTYPES, has_bf16
from latentfoley.errors import RecipeError, TrainingError, TrainingWarning
from latentfoley.training import parallel
from latentfoley.training.recipe import RunRecipe

MicroBatch = tuple[Tensor, ...]
R = TypeVar("R")


class Optimisation:
    """Takes the steps of one run on one device.

    Raises:
        RecipeError: the batch does not divide into equal micro-batches.
    """

    def __init__(self, run: RunRecipe, device: torch.device) -> None:
        self.run, self.device = run, device
        self.precision = _choose_precision(run, device)
        self.n_micro_batches = run.accumulate * parallel.n_processes()
        if run.batch_size % self.n_micro_batches:
            raise RecipeError(
                f"run.batch_size {run.batch_size} does not divide into {self.n_micro_batches} "
                f"equal micro-batches, {run.accumulate} (run.accumulate) for each of "
                f"{parallel.n_processes()} processes"
            )
        # fp16 has no numbers below 6e-8: the loss is scaled up so that small gradients survive.
        self.scaler = torch.amp.GradScaler(device.type, enabled=run.precision == "fp16")

    def autocast(self) -> torch.autocast:
        """Return the context of a forward pass."""
        half = self.precision != "fp32"
        dtype = DTYPES[self.precision] if half else None
        return torch.autocast(self.device.type, dtype, enabled=half)

    def micro_batches(self, *batch: Tensor) -> list[MicroBatch]:
        """Return the rows of a global batch that are this process's, on its device."""
        first = parallel.rank() * self.run.accumulate
        return [
            tuple(rows[k :: self.n_micro_batches].to(self.device) for rows in batch)
            for k in range(first, first + self.run.accumulate)
        ]

    def step(self, losses: Iterable[Tensor], *optimizers: torch.optim.Optimizer) -> Tensor:
        """Take one step down the mean loss of the micro-batches; return the norm of its gradient.

        `losses` should be a generator: it frees the graph of each micro-batch before it builds
        the next. The norm is the one before clipping to `gradient_clip`.

        Raises:
            TrainingError: the gradient is not finite; the weights are as before.
        """
        for optimizer in optimizers:
            optimizer.zero_grad()
        for loss in losses:
            self.scaler.scale(loss / self.run.accumulate).backward()
        groups = [group for optimizer in optimizers for group in optimizer.param_groups]
        parameters = [p for group in groups for p in group["params"]]
        parallel.average_gradients(parameters)
        for optimizer in optimizers:
            self.scaler.unscale_(optimizer)
        norm = nn.utils.clip_grad_norm_(parameters, self.run.gradient_clip)
        self._require_finite(norm)
        for optimizer in optimizers:  # in fp16, a step whose gradients overflowed is left out …
            self.scaler.step(optimizer)
        self.scaler.update()  # … and the scale halved
        return norm

    def _require_finite(self, norm: Tensor) -> None:
        if not norm.isfinite() and self.scaler.get_scale() <= 1:
            raise TrainingError(not_finite("the gradient's norm", float(norm), self.run))


def _choose_precision(run: RunRecipe, device: torch.device) -> Dtype:
    """Return the precision of the recipe, or fp32 where bf16 would be emulated."""
    if run.precision != "bf16" or has_bf16(device):
        return run.precision
    if parallel.rank() == 0:
        warnings.warn(
            f"run.precision is bf16, which this {device.type} only emulates, many times slower: "
            "training in fp32",
            TrainingWarning,
            2,
        )
    return "fp32"


def not_finite(what: str, value: float, run: RunRecipe) -> str:
    """Return the message about a run that diverged."""
    return (
        f"{what} became {value}; the last checkpoint in {run.folder} is good. "
        f"Lower learning_rate (now {run.learning_rate}) and run again to go on."
    )


def cached(
    forward: Callable[[MicroBatch], R], micro_batches: Sequence[MicroBatch]
) -> Callable[[MicroBatch], R]:
    """Return `forward` with a cache for one micro-batch, and without one for several.

    Some steps need an output twice. The graphs of several micro-batches would take the memory that
    micro-batches save, so theirs are computed twice.
    """
    if len(micro_batches) > 1:
        return forward
    only = forward(micro_batches[0])
    return lambda micro_batch: only


def mean_losses(of_micro_batches: Sequence[Mapping[str, Tensor]]) -> dict[str, float]:
    """Return the mean losses of this process's micro-batches; all have the same names."""
    means = [
        torch.stack([micro_batch[name].detach() for micro_batch in of_micro_batches]).mean()
        for name in of_micro_batches[0]
    ]
    return {name: mean.item() for name, mean in zip(of_micro_batches[0], means, strict=True)}
