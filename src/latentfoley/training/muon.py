"""Muon for the layers of a denoiser [Jordan et al. 2024; Liu et al. 2025, arXiv 2502.16982].

A step of a weight matrix goes along its momentum with all singular values made equal, as far as a
step of AdamW goes on average, so that both take the same learning rates. Muon is for hidden
layers: what is no matrix, and the first and last layer, stay with AdamW.
"""

import math
from collections.abc import Callable, Iterable
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from latentfoley.devices import has_bf16

Matrix = Float[Tensor, "R C"]

_ENDS = ("conv_in.", "conv_out.")
_QUINTIC = 3.4445, -4.7750, 2.0315  # Jordan et al.: from 0 to 1 ± 0.3 as fast as can be
_ITERATIONS = 5
_RMS_OF_ADAMW = 0.2  # of a step, in learning rates (Liu et al., §2.2)


class Muon(torch.optim.Optimizer):
    """torch's Muon for weights of any shape, on hardware of any kind.

    torch's takes matrices alone, and orthogonalises in bf16, which takes minutes a step where that
    is emulated; there it is done in fp32. The kernels of a convolution are the rows of its matrix.
    Optimiser and network share the memory of weights and gradients.
    """

    def __init__(self, weights: Iterable[nn.Parameter], weight_decay: float = 0.01) -> None:
        matrices = []
        for weight in weights:
            weight.grad = torch.zeros_like(weight)
            matrix = weight.detach().view(len(weight), -1)
            matrix.grad = weight.grad.view(len(weight), -1)
            matrices.append(matrix)
        super().__init__(matrices, {"lr": 1e-3, "weight_decay": weight_decay, "momentum": 0.95})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Take a step from the gradients that are there; `closure` is not called."""
        for group in self.param_groups:
            for matrix in group["params"]:
                self._step(matrix, group["lr"], group["weight_decay"], group["momentum"])

    def _step(self, matrix: Matrix, lr: float, weight_decay: float, momentum: float) -> None:
        if "momentum_buffer" not in self.state[matrix]:
            self.state[matrix]["momentum_buffer"] = torch.zeros_like(matrix)
        gradient, average = cast(Tensor, matrix.grad), self.state[matrix]["momentum_buffer"]
        average.lerp_(gradient, 1 - momentum)
        ahead = gradient.lerp(average, momentum)  # Nesterov's
        dtype = torch.bfloat16 if has_bf16(matrix.device) else torch.float32
        matrix.mul_(1 - lr * weight_decay)
        length = lr * _RMS_OF_ADAMW * math.sqrt(max(matrix.shape))
        matrix.add_(orthogonalise(ahead.to(dtype)), alpha=-length)

    def zero_grad(self, set_to_none: bool = False) -> None:
        """Set the gradients to zero where they lie: new ones would not be shared."""
        super().zero_grad(set_to_none=False)


def orthogonalise(matrix: Matrix) -> Matrix:
    """Return a matrix of the same singular vectors, with all singular values near 1.

    Five iterations of Newton and Schulz with a polynomial of degree 5.
    """
    a, b, c = _QUINTIC
    X = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    X = X / X.norm().clamp(min=1e-7)  # no singular value is beyond 1
    for _ in range(_ITERATIONS):
        gram = X @ X.T
        X = torch.addmm(X, torch.addmm(gram, gram, gram, beta=b, alpha=c), X, beta=a)
    return X.T if matrix.shape[0] > matrix.shape[1] else X


def split_parameters(module: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Return the parameters that are Muon's, and those that are AdamW's."""
    named = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
    hidden = [p for name, p in named if p.ndim > 1 and not name.startswith(_ENDS)]
    own = set(map(id, hidden))
    return hidden, [p for _, p in named if id(p) not in own]
