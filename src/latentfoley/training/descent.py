"""How one step down a loss is taken: in parts, in a precision, clipped, by all processes together.

A global batch of B clips is cut into P·M equal parts for P processes and `accumulate` = M. A loss
is a mean over clips, so the mean of the parts' gradients is the gradient of the whole.
"""

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from latentfoley.devices import DTYPES, Dtype, has_bf16
from latentfoley.errors import RecipeError, TrainingError, TrainingWarning
from latentfoley.training import parallel
from latentfoley.training.recipe import RunRecipe

Part = tuple[Tensor, ...]
R = TypeVar("R")


class Descent:
    """Takes the steps of one run on one device.

    Raises:
        RecipeError: the batch does not divide into equal parts.
    """

    def __init__(self, run: RunRecipe, device: torch.device) -> None:
        self.run, self.device = run, device
        self.precision = _choose_precision(run, device)
        self.n_parts = run.accumulate * parallel.n_processes()
        if run.batch_size % self.n_parts:
            raise RecipeError(
                f"run.batch_size {run.batch_size} does not divide into {self.n_parts} equal parts, "
                f"{run.accumulate} (run.accumulate) for each of {parallel.n_processes()} processes"
            )
        # fp16 has no numbers below 6e-8: the loss is scaled up so that small gradients survive.
        self.scaler = torch.amp.GradScaler(device.type, enabled=run.precision == "fp16")

    def autocast(self) -> torch.autocast:
        """Return the context of a forward pass."""
        half = self.precision != "fp32"
        dtype = DTYPES[self.precision] if half else None
        return torch.autocast(self.device.type, dtype, enabled=half)

    def parts(self, *batch: Tensor) -> list[Part]:
        """Return this process's rows of a global batch, part by part, on the device."""
        first = parallel.rank() * self.run.accumulate
        return [
            tuple(rows[k :: self.n_parts].to(self.device) for rows in batch)
            for k in range(first, first + self.run.accumulate)
        ]

    def take(self, losses: Iterable[Tensor], optimizer: torch.optim.Optimizer) -> Tensor:
        """Take one step down the mean of the parts' losses; return the norm of its gradient.

        `losses` is best a generator: each part's graph is then gone before the next is built. The
        norm is the one before clipping to `gradient_clip`.

        Raises:
            TrainingError: the gradient is not finite; the weights are as before.
        """
        optimizer.zero_grad()
        for loss in losses:
            self.scaler.scale(loss / self.run.accumulate).backward()
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        parallel.average_gradients(parameters)
        self.scaler.unscale_(optimizer)
        norm = nn.utils.clip_grad_norm_(parameters, self.run.gradient_clip)
        self._require_finite(norm)
        self.scaler.step(optimizer)  # in fp16, a step whose gradients overflowed is left out …
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
    """Return what is said of a run that diverged."""
    return (
        f"{what} became {value}; the last checkpoint in {run.folder} is good. "
        f"Lower learning_rate (now {run.learning_rate}) and run again to go on."
    )


def remembered(forward: Callable[[Part], R], parts: Sequence[Part]) -> Callable[[Part], R]:
    """Return `forward`, run once where there is one part, and anew at every call for several.

    For steps that look twice at what a network made: the graphs of all parts together would take
    the memory that parts are there to save.
    """
    if len(parts) > 1:
        return forward
    only = forward(parts[0])
    return lambda part: only


def mean_losses(of_parts: Sequence[Mapping[str, Tensor]]) -> dict[str, float]:
    """Return the means over this process's parts; all have the same names."""
    means = [torch.stack([part[name].detach() for part in of_parts]).mean() for name in of_parts[0]]
    return {name: mean.item() for name, mean in zip(of_parts[0], means, strict=True)}
