"""What is done to the networks before they are trained: less memory, or compiled."""

import functools

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from latentfoley.blocks import ResnetBlock
from latentfoley.errors import RecipeError
from latentfoley.training.recipe import RunRecipe
from latentfoley.training.task import Task
from latentfoley.unet import SpatialTransformer
from latentfoley.vae import Vae
from latentfoley.vocoder import ResidualBlock

# Blocks whose insides need much more memory than what goes in. None changes its arguments.
_BLOCKS = (ResnetBlock, SpatialTransformer, ResidualBlock)


def prepare(task: Task, run: RunRecipe) -> None:
    """Do to the trained networks what the recipe asks for; their tensors keep their names.

    Raises:
        RecipeError: there is nothing to compile with, or no block to compute twice.
    """
    if run.activation_checkpointing and not sum(map(compute_twice, task.networks)):
        raise RecipeError(
            f"run.activation_checkpointing: {task.kind} has no blocks for it; leave it out"
        )
    if run.compile:
        _require_compiler(task.device)
        for module in task.networks:
            for part in (module.encoder, module.decoder) if isinstance(module, Vae) else (module,):
                part.compile()


def compute_twice(module: nn.Module) -> int:
    """Let every block recompute its insides in the backward pass; return how many there are."""
    blocks = [block for block in module.modules() if isinstance(block, _BLOCKS)]
    for block in blocks:
        # A module rebuilt from this one would share the bound method: do this after any copy.
        twice = functools.partial(checkpoint, block.forward, use_reentrant=False)
        block.forward = twice  # type: ignore[method-assign]
    return len(blocks)


def _require_compiler(device: torch.device) -> None:
    try:
        torch.compile(torch.neg)(torch.ones(2, device=device))
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        raise RecipeError(
            f"run.compile needs a working compiler, for a CPU one of C++ ({reason}); install it, "
            "or set run.compile=false"
        ) from None
