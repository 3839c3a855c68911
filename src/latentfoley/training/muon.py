"""Muon for the layers of a denoiser [Jordan et al. 2024; Liu et al. 2025, arXiv 2502.16982].

A step of a weight matrix goes along its momentum with all singular values made equal, as far as a
step of AdamW goes on average, so that both take the same learning rates. Muon is for hidden
layers: what is no matrix, and the first and last layer, stay with AdamW.
"""

from collections.abc import Iterable

import torch
from torch import nn

_ENDS = ("conv_in.", "conv_out.")


class Muon(torch.optim.Muon):
    """torch's Muon, which takes matrices alone, for weights of any shape.

    The kernels of a convolution are the rows of its matrix. Optimiser and network share the memory
    of weights and gradients.
    """

    def __init__(self, weights: Iterable[nn.Parameter], weight_decay: float = 0.01) -> None:
        matrices = []
        for weight in weights:
            weight.grad = torch.zeros_like(weight)
            matrix = weight.detach().view(len(weight), -1)
            matrix.grad = weight.grad.view(len(weight), -1)
            matrices.append(matrix)
        super().__init__(matrices, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw")

    def zero_grad(self, set_to_none: bool = False) -> None:
        """Set the gradients to zero where they lie: new ones would not be shared."""
        super().zero_grad(set_to_none=False)


def split_parameters(module: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Return the parameters that are Muon's, and those that are AdamW's."""
    named = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
    hidden = [p for name, p in named if p.ndim > 1 and not name.startswith(_ENDS)]
    own = set(map(id, hidden))
    return hidden, [p for _, p in named if id(p) not in own]
