"""A task small enough to know by heart: what the loop does is tested on it."""

import torch
from torch import nn

from latentfoley.config import Config
from latentfoley.data.recordings import generator
from latentfoley.training.optimisation import Optimisation, mean_losses
from latentfoley.training.recipe import RunRecipe
from latentfoley.training.task import Task


def line_recipe(folder, **changes):
    """A recipe of twelve steps."""
    values = {"steps": 12, "batch_size": 8, "learning_rate": 0.1, "warmup_steps": 3}
    values |= {"checkpoint_every": 4, "preview_every": 6, "log_every": 1, "precision": "fp32"}
    return RunRecipe(folder=folder, **(values | changes))


class LineRecipe(Config):
    """The recipe of the task below."""

    run: RunRecipe


class Line(Task):
    """Fit w x + b to 2 x - 1. What `watch` gives for a step is a loss too."""

    kind = "line"

    @property
    def data_size(self):
        return {"points": 8}

    def __init__(self, run, width=1, watch=lambda step: 0.0):
        torch.manual_seed(0)
        self.recipe, self.device = LineRecipe(run=run), torch.device("cpu")
        self.optimisation = Optimisation(run, self.device)
        self.watch, self.rates, self.previews, self.exported = watch, [], [], False
        self.line = nn.Linear(1, width)
        self.modules = {"line": self.line}
        self.optimizers = {"line": torch.optim.AdamW(self.line.parameters())}

    def step(self, step):
        self.rates.append(self.optimizers["line"].param_groups[0]["lr"])
        parts = self.optimisation.micro_batches(
            torch.from_numpy(generator(0, step).standard_normal((8, 1))).float()
        )
        losses = []

        def totals():
            for (x,) in parts:
                losses.append({"loss": (self.line(x) - (2 * x - 1)).square().mean()})
                yield losses[-1]["loss"]

        norm = self.optimisation.step(totals(), self.optimizers["line"])
        return mean_losses(losses) | {"watched": self.watch(step), "gradient_norm": norm.item()}

    def preview(self, folder, step):
        self.previews.append((folder.name, step))

    def export(self, folder):
        self.exported = folder
