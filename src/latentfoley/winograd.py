"""3 x 3 convolutions with 4 multiplications in place of 9, for wide layers on a CPU.

Winograd's F(2 x 2, 3 x 3) (Lavin & Gray 2016, arXiv 1509.09308, §4.1): tiles of 4 x 4 that overlap
by 2 are transformed, multiplied with the transformed kernels, and transformed back to 2 x 2:

    Y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A

The products are 16 matrix multiplications over the channels, which a CPU does nearly at its peak;
the transforms are additions. The rounding is that of the direct way. What wins from how many
channels on is in docs/decisions/0126.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from latentfoley.blocks import Features

Tiles = Float[Tensor, "4 4 B H W C"]

_AT_ONCE = 256  # tiles, so that they stay in the cache


class WinogradConv2d(nn.Module):
    """A 3 x 3 convolution with stride 1 and padding 1, in place of one of torch's."""

    kernels: Tensor
    bias: Tensor | None

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        g = conv.weight.detach().permute(2, 3, 1, 0).contiguous()  # (3, 3, C, O)
        rows = _of_kernels(*g)  # G g, (4, 3, C, O)
        kernels = torch.stack([_of_kernels(*row) for row in rows])  # (4, 4, C, O)
        self.register_buffer("kernels", kernels.flatten(0, 1))
        self.register_buffer("bias", None if conv.bias is None else conv.bias.detach().clone())

    def forward(self, x: Features) -> Features:
        """Return the convolution; it lies in memory with the channels last."""
        (batch, _, T, n_bands), C = x.shape, self.kernels.shape[2]
        h, w = (T + 1) // 2, (n_bands + 1) // 2
        # One row and column before, and after as many as the last tile needs.
        x = F.pad(x.permute(0, 2, 3, 1), (0, 0, 1, 1 + n_bands % 2, 1, 1 + T % 2))  # (B, T, F, C)
        y = x.new_empty(batch, h, 2, w, 2, C)
        n_rows = max(1, _AT_ONCE // (batch * w))
        for i in range(0, h, n_rows):
            tiles = _into_tiles(x[:, 2 * i : 2 * (i + n_rows) + 2])
            products = tiles.view(16, -1, x.shape[3]) @ self.kernels
            _out_of_tiles(products.view(*tiles.shape[:-1], C), y[:, i : i + n_rows])
        if self.bias is not None:
            y += self.bias
        return y.view(batch, 2 * h, 2 * w, C)[:, :T, :n_bands].permute(0, 3, 1, 2)


def _of_kernels(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """Return the four rows of G times three vectors."""
    ends = (a + c) / 2
    return torch.stack([a, ends + b / 2, ends - b / 2, c])


def _into_tiles(x: Float[Tensor, "B T F C"]) -> Tiles:
    """Return Bᵀ d B of the 4 x 4 tiles d that begin at every second row and column."""
    even, odd = x[:, 0::2], x[:, 1::2]
    rows = (even[:, :-1], odd[:, :-1], even[:, 1:], odd[:, 1:])
    batch, h, width, C = rows[0].shape
    tiles = x.new_empty(4, 4, batch, h, width // 2 - 1, C)
    for row, out in zip(_transformed(*rows), tiles, strict=True):
        columns = (row[:, :, 0:-2:2], row[:, :, 1:-1:2], row[:, :, 2::2], row[:, :, 3::2])
        _transformed(*columns, out=out)
    return tiles


def _transformed(
    a: Tensor, b: Tensor, c: Tensor, d: Tensor, out: Tensor | None = None
) -> tuple[Tensor, ...]:
    """Return the four rows of Bᵀ times four vectors."""
    places = (None,) * 4 if out is None else tuple(out)
    return (
        torch.sub(a, c, out=places[0]),
        torch.add(b, c, out=places[1]),
        torch.sub(c, b, out=places[2]),
        torch.sub(b, d, out=places[3]),
    )


def _out_of_tiles(m: Tiles, y: Float[Tensor, "B H 2 W 2 C"]) -> None:
    """Write Aᵀ m A into the 2 x 2 places of every tile."""
    for row, s in enumerate((m[0] + m[1] + m[2], m[1] - m[2] - m[3])):
        y[:, :, row, :, 0] = s[0] + s[1] + s[2]
        y[:, :, row, :, 1] = s[1] - s[2] - s[3]
