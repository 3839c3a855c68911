"""Convolutions with a quarter to a half of the multiplications, for wide layers on a CPU.

m neighbouring outputs of a filter of r weights are known from n = m + r - 1 products in place of
m · r (Winograd's minimal filtering F(m, r), by the way of Cook and Toom; Lavin & Gray 2016, arXiv
1509.09308, §4.1): inputs and weights are transformed, multiplied, and transformed back,

    y = Aᵀ [(G g) ⊙ (Bᵀ d)]

With channels the products are matrix multiplications, which a CPU does nearly at its peak. Tiles
are taken some at a time, so that they stay in the cache. What wins from which layer on is in
docs/decisions/0126, 0141 and 0143.
"""

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from latentfoley.blocks import Features

Hidden = Float[Tensor, "B C N"]
Matrices = tuple[Float[Tensor, "m n"], Float[Tensor, "n r"], Float[Tensor, "n n"]]

# By n. Small numbers and their inverses: rounding stays a few times that of the direct way.
_POINTS = {4: (0, 1, -1), 6: (0, 1, -1, 0.5, -2), 7: (0.5, -0.5, 1, -1, 2, -2)}
_AT_ONCE = 256  # tiles; half as many of 36 values
_PHASES = 4  # a 1-D filter is a sum of filters of every fourth weight


def minimal_filter(m: int, r: int) -> Matrices:
    """Return Aᵀ, G and Bᵀ of F(m, r) in double precision.

    The product of two polynomials is known by its values at n - 1 points and by its highest
    coefficient, its value at infinity; a filter is the transpose of that product.
    """
    n = m + r - 1
    points = np.array(_POINTS[n])
    A, G, B = np.zeros((m, n)), np.zeros((n, r)), np.zeros((n, n))
    A[:, :-1], G[:-1] = np.vander(points, m, increasing=True).T, np.vander(points, r, True)
    for k, point in enumerate(points):
        others = np.delete(points, k)
        G[k] /= np.prod(point - others)
        B[k, :-1] = np.polynomial.polynomial.polyfromroots(others)
    B[-1] = np.polynomial.polynomial.polyfromroots(points)
    A[-1, -1] = G[-1, -1] = 1
    return torch.from_numpy(A), torch.from_numpy(G), torch.from_numpy(B)


class WinogradConv2d(nn.Module):
    """A 3 x 3 convolution with stride 1 and padding 1, in place of one of torch's.

    Args:
        conv: the one that it computes.
        m: 2, 16 products for 36; or 4, 36 for 144, with four times the weights' memory.
    """

    kernels: Tensor
    inputs: Tensor
    outputs: Tensor
    bias: Tensor | None

    def __init__(self, conv: nn.Conv2d, m: int) -> None:
        super().__init__()
        self.m = m
        A, G, B = minimal_filter(m, 3)
        g = conv.weight.detach().permute(2, 3, 1, 0)  # (3, 3, C, O)
        kernels = torch.kron(G, G).float() @ g.reshape(9, -1)
        self.register_buffer("kernels", kernels.view(-1, *g.shape[2:]))  # (n², C, O)
        self.register_buffer("inputs", torch.kron(B, B).float())
        self.register_buffer("outputs", torch.kron(A, A).float())
        self.register_buffer("bias", None if conv.bias is None else conv.bias.detach().clone())

    def forward(self, x: Features) -> Features:
        """Return the convolution; it lies in memory with the channels last."""
        (batch, C, T, n_bands), width, m = x.shape, self.kernels.shape[2], self.m
        h, w = -(-T // m), -(-n_bands // m)
        # One row and column before, and after as many as the last tile needs.
        ends = (0, 0, 1, 1 + w * m - n_bands, 1, 1 + h * m - T)
        x = F.pad(x.permute(0, 2, 3, 1), ends)  # (B, T, F, C)
        y = x.new_empty(batch, h, m, w, m, width)
        n_rows = max(1, 2 * _AT_ONCE // (m * batch * w))
        for i in range(0, h, n_rows):
            rows = x[:, m * i : m * (i + n_rows) + 2]
            tiles = rows.unfold(1, m + 2, m).unfold(2, m + 2, m)  # (B, h, w, C, n, n)
            d = tiles.permute(4, 5, 0, 1, 2, 3).reshape(len(self.inputs), -1)
            products = (self.inputs @ d).view(len(d), -1, C) @ self.kernels
            made = (self.outputs @ products.flatten(1)).view(m, m, batch, -1, w, width)
            y[:, i : i + n_rows] = made.permute(2, 3, 0, 4, 1, 5)
        if self.bias is not None:
            y += self.bias
        return y.view(batch, h * m, w * m, width)[:, :T, :n_bands].permute(0, 3, 1, 2)


class WinogradConv1d(nn.Module):
    """A convolution with stride 1 that keeps the length, in place of one of torch's.

    Four outputs and every fourth weight are an F(4, 4), 7 products for 16, and a filter is a sum of
    some. With dilation d, samples that are d apart are neighbours, and d filters lie side by side.
    """

    kernels: Tensor
    inputs: Tensor
    outputs: Tensor
    bias: Tensor | None

    def __init__(self, conv: nn.Conv1d) -> None:
        super().__init__()
        (self.dilation,), (K,) = conv.dilation, conv.kernel_size
        self.padding = self.dilation * (K - 1) // 2
        A, G, B = minimal_filter(_PHASES, _PHASES)
        g = F.pad(conv.weight.detach().permute(2, 1, 0), (0, 0, 0, 0, 0, -K % _PHASES))
        g = g.unflatten(0, (-1, _PHASES))  # (K/4, 4, C, O)
        kernels = G.float() @ g.flatten(2)
        self.register_buffer("kernels", kernels.view(len(g), -1, *g.shape[2:]))  # (K/4, 7, C, O)
        self.register_buffer("inputs", B.float())
        self.register_buffer("outputs", A.float())
        self.register_buffer("bias", None if conv.bias is None else conv.bias.detach().clone())

    def forward(self, x: Hidden) -> Hidden:
        """Return the convolution; it lies in memory with the channels last."""
        (batch, C, N), d, width = x.shape, self.dilation, self.kernels.shape[-1]
        n_tiles = -(-N // (_PHASES * d))
        end = (n_tiles + len(self.kernels)) * _PHASES * d - N - self.padding
        x = F.pad(x.transpose(1, 2), (0, 0, self.padding, end)).view(batch, -1, d, C)
        y = x.new_empty(batch, n_tiles, _PHASES, d, width)
        at_once = max(1, _AT_ONCE // d)
        for sound, out in zip(x, y, strict=True):
            tiles = sound.unfold(0, len(self.inputs), _PHASES)  # (J, d, C, 7), K/4 - 1 more
            for i in range(0, n_tiles, at_once):
                some = tiles[i : i + at_once + len(self.kernels) - 1]
                out[i : i + at_once] = self._convolve(some.permute(3, 0, 1, 2))
        if self.bias is not None:
            y += self.bias
        return y.view(batch, -1, width)[:, :N].transpose(1, 2)

    def _convolve(self, d: Float[Tensor, "7 I d C"]) -> Float[Tensor, "J 4 d O"]:
        """Return the outputs of some tiles."""
        values = (self.inputs @ d.flatten(1)).view(len(d), -1, d.shape[3])
        n_rows = values.shape[1] - (len(self.kernels) - 1) * self.dilation
        products = torch.bmm(values[:, :n_rows], self.kernels[0])
        for j, kernel in enumerate(self.kernels[1:], start=1):
            first = j * self.dilation
            products.baddbmm_(values[:, first : first + n_rows], kernel)
        made = self.outputs @ products.flatten(1)
        return made.view(_PHASES, -1, self.dilation, products.shape[2]).transpose(0, 1)
