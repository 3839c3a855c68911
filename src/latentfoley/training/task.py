"""What can be trained: the task owns the maths; the loop owns time, files and learning rates."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar, Protocol

import torch
from torch import nn

from latentfoley.training.optimisation import Optimisation
from latentfoley.training.recipe import RunRecipe

DECIDES = "validation_loss"  # which checkpoint is the best


class TaskRecipe(Protocol):
    """The recipe of any task."""

    @property
    def run(self) -> RunRecipe:
        """How it runs."""
        ...

    def model_dump(self, *, mode: str) -> dict[str, object]:
        """Return the recipe, with its defaults, as plain values."""
        ...


class Task(ABC):
    """Something to train. All that a step draws at random comes from (seed, step).

    Attributes:
        kind: its name on the command line.
        modules: everything a checkpoint must hold, by name.
        optimisation: how it takes its steps; built with the task.
        optimizers: whose learning rates the loop sets before every step.
        data_size: how much there is to learn from, by what is counted.
    """

    kind: ClassVar[str]
    recipe: TaskRecipe
    device: torch.device
    optimisation: Optimisation
    modules: dict[str, nn.Module]
    optimizers: dict[str, torch.optim.Optimizer]

    @property
    def networks(self) -> list[nn.Module]:
        """What is called in a step and asks for gradients: may be compiled, or computed twice."""
        return [m for m in self.modules.values() if any(p.requires_grad for p in m.parameters())]

    @property
    @abstractmethod
    def data_size(self) -> dict[str, float]: ...

    @abstractmethod
    def step(self, step: int) -> dict[str, float]:
        """Take one optimisation step; return `gradient_norm` and the losses by name.

        They are means over this process's rows; every process returns the same names.
        """

    def validate(self) -> dict[str, float]:
        """Return losses on the validation clips by name, each `validation_…`; none without any.

        The weights with the least `validation_loss` are kept as the best. Whatever is random here
        is the same every time, and leaves the global generator alone.
        """
        return {}

    @abstractmethod
    def preview(self, folder: Path, step: int) -> None:
        """Write sounds and pictures that show what the model does now."""

    @abstractmethod
    def export(self, folder: Path) -> None:
        """Write the finished component in the layout of a model folder."""
