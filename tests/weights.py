"""Random weights under which a mistake shows.

Freshly made networks hide faults: with the usual initialisation attention is nearly uniform, norms
are the identity and biases zero, so that a wrong head split changes the output by 4e-5.
"""

import torch
from torch import nn

SHARPNESS = 1.5  # of queries and keys: logits of deviation 2, short of a hard choice


def randomise(module: nn.Module, seed: int = 0) -> nn.Module:
    """Fill every parameter: weights of deviation 1/√fan-in, norms 1 + noise, sharp attention."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            draw = torch.randn(parameter.shape, generator=generator)
            if parameter.dim() > 1:
                draw *= parameter[0].numel() ** -0.5
            elif name.endswith("weight"):
                draw = 1 + 0.2 * draw
            else:
                draw *= 0.1
            if any(part in name for part in ("to_q.", "to_k.", ".query.", ".key.")):
                draw *= SHARPNESS
            parameter.copy_(draw)
    return module.eval()


def relative_error(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """Return the largest difference as a share of the largest value."""
    assert ours.shape == theirs.shape
    return float((ours - theirs).abs().max() / theirs.abs().max())


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    """Return a standard normal, the same for the same seed."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))
