"""1-D convolutions with 7 multiplications in place of 16, for HiFi-GAN's wide layers on a CPU.

Four neighbouring outputs and every fourth weight make a product of two polynomials of degree 3,
which is known by its values at 7 points (Cook and Toom; Lavin & Gray 2016, arXiv 1509.09308, §4.1).
With `p` for the phase of 4, a convolution of K weights is K/4 of these in a row:

    Y_p = Σ_i A_ip Σ_j G_i(g_j) ⊙ D_i(x_j+…)

The points are ±1/2, ±1, ±2 and ∞: each pair shares its even and its odd part, and the rounding is
10⁻⁶ of the largest value, four times that of the direct way. With dilation d, samples that are d
apart are neighbours, and d such convolutions lie side by side. What wins from which layer on is in
docs/decisions/0141.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

Hidden = Float[Tensor, "B C N"]

_AT_ONCE = 256  # tiles, so that they stay in the cache
_Q = (0.5, 1.0, 2.0)  # the points are q and -q, and infinity
_PHASES = 4


def _others(q: float) -> tuple[float, float]:
    """Return b and c of y² + b y + c, which is 0 at the squares of the other points."""
    one, two = (other * other for other in _Q if other != q)
    return -(one + two), one * two


class CookToomConv1d(nn.Module):
    """A convolution with stride 1 that keeps the length, in place of one of torch's."""

    kernels: Tensor
    bias: Tensor | None

    def __init__(self, conv: nn.Conv1d) -> None:
        super().__init__()
        (self.dilation,), (K,) = conv.dilation, conv.kernel_size
        self.padding = self.dilation * (K - 1) // 2
        g = F.pad(conv.weight.detach().permute(2, 1, 0), (0, 0, 0, 0, 0, -K % _PHASES))
        g = g.unflatten(0, (-1, _PHASES)).double()  # (K/4, 4, C, O)
        kernels = torch.stack(_of_kernels(*g.unbind(1)), dim=1).float()
        self.register_buffer("kernels", kernels)  # (K/4, 7, C, O)
        self.register_buffer("bias", None if conv.bias is None else conv.bias.detach().clone())

    def forward(self, x: Hidden) -> Hidden:
        """Return the convolution; it lies in memory with the channels last."""
        (batch, C, N), d = x.shape, self.dilation
        taps, width = len(self.kernels), self.kernels.shape[-1]
        n_tiles = -(-N // (_PHASES * d))
        end = (n_tiles + taps) * _PHASES * d - N - self.padding
        x = F.pad(x.transpose(1, 2), (0, 0, self.padding, end))
        tiles = x.view(batch, -1, _PHASES, d, C)
        y = x.new_empty(batch, n_tiles, _PHASES, d, width)
        at_once = max(1, _AT_ONCE // d)
        for sound, out in zip(tiles, y, strict=True):
            for i in range(0, n_tiles, at_once):
                self._convolve(sound[i : i + at_once + taps], out[i : i + at_once])
        if self.bias is not None:
            y += self.bias
        return y.view(batch, -1, width)[:, :N].transpose(1, 2)

    def _convolve(self, x: Float[Tensor, "I 4 d C"], y: Float[Tensor, "J 4 d O"]) -> None:
        """Write the outputs of some tiles, of whose inputs there are `taps` more."""
        values = x.new_empty(7, x.shape[0] - 1, *x.shape[2:])
        _into_values([*x[:-1].unbind(1), *x[1:, :3].unbind(1)], values)
        rows, n_rows = values.flatten(1, 2), y.shape[0] * self.dilation
        products = torch.bmm(rows[:, :n_rows], self.kernels[0])
        for j, kernel in enumerate(self.kernels[1:], start=1):
            first = j * self.dilation
            products.baddbmm_(rows[:, first : first + n_rows], kernel)
        _out_of_values(products.view(7, -1, *y.shape[2:]), y.unbind(1))


def _of_kernels(*g: Tensor) -> list[Tensor]:
    """Return the values of four weights' polynomial, over what `_into_values` is at the points."""
    values = []
    for q in _Q:
        b, c = _others(q)
        scale = 2 * q * (q**4 + b * q**2 + c)
        even, odd = g[0] + q**2 * g[2], q * g[1] + q**3 * g[3]
        values += [(even + odd) / scale, (odd - even) / scale]
    return [*values, g[3]]


def _into_values(x: Sequence[Tensor], out: Tensor) -> None:
    """Write the transposed interpolation of seven inputs."""
    odd, even = torch.empty_like(out[0]), torch.empty_like(out[0])
    for i, q in enumerate(_Q):
        b, c = _others(q)
        torch.add(x[5], x[3], alpha=b, out=odd).add_(x[1], alpha=c)
        torch.add(x[4], x[2], alpha=b, out=even).add_(x[0], alpha=c)
        torch.add(odd, even, alpha=q, out=out[2 * i])
        torch.sub(odd, even, alpha=q, out=out[2 * i + 1])
    # y³ + …, 0 at the squares of all points: as for q = 1/2, times another (y - 1/4).
    (b, c), a = _others(_Q[0]), _Q[0] ** 2
    infinite = torch.add(x[6], x[4], alpha=b - a, out=out[6])
    infinite.add_(x[2], alpha=c - a * b).add_(x[0], alpha=-a * c)


def _out_of_values(products: Tensor, y: Sequence[Tensor]) -> None:
    """Write four outputs from seven products, which are lost."""
    sums = [products[i] + products[i + 1] for i in (0, 2, 4)]
    differences = [products[i].sub_(products[i + 1]) for i in (0, 2, 4)]
    for p, out in enumerate(y):
        half, one, two = differences if p % 2 else sums
        torch.add(one, half, alpha=_Q[0] ** p, out=out).add_(two, alpha=_Q[2] ** p)
    y[3].add_(products[6])
