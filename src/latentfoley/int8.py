"""Convolutions and linear layers in 8-bit integers, for wide layers on a CPU with VNNI.

    x ≈ s (q - z),   w_o ≈ s_o q_o,   y_o = s s_o Σ (q - z) q_o + b_o

Every output channel of a kernel has a scale of its own, s_o = max |w_o| / 127, kept with the
weights; the input has one, and the integer z that stands for zero, taken at every call so that
q = round(x / s) + z lies in 0 … 255. Sums are exact, in 32 bits; the result is bf16.

oneDNN's convolutions are up to 1.7 times as fast where zero stands for itself. So they get z = 0,
the border filled with the true z, and s s_o z Σ q_o taken off the bias: the same sum.

Exchanged are layers in which the products outweigh the passes that quantise: 3 x 3 convolutions,
the projection to q, k and v, taken together, and the wide layer of a feed-forward. The first and
last convolutions stay as they are. What that gains and costs is in docs/decisions/0133.
`loading.py` calls `with_int8`; nothing else knows of it.
"""

from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from latentfoley.attention import attend
from latentfoley.blocks import Features
from latentfoley.pages import give_back
from latentfoley.unet import Attention, GatedGelu

M = TypeVar("M", bound=nn.Module)

_NARROWEST = 64  # channels, in and out, of a convolution that is exchanged
_STEPS = 253  # from the least to the largest number: with all roundings below 256
_SIGN = 128  # the bit of a signed byte's sign
_LARGEST = 127  # of the integers of a kernel
_LEAST = 1e-9  # of a range or a scale: zeros stay zeros
_OPS = torch.ops.onednn
# What comes out, and that nothing is done to it.
_AS_BF16: tuple[Any, ...] = (1.0, 0, torch.bfloat16, "none", [], "")


class Int8Conv2d(nn.Module):
    """A convolution in place of one of torch's."""

    kernels: Tensor
    scales: Tensor
    zeros: Tensor
    bias: Tensor
    sums: Tensor

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        q, scales = _quantised_rows(conv.weight)
        above, before = map(int, conv.padding)
        self.border = 0, 0, before, before, above, above
        self.form = list(conv.stride), [0, 0], list(conv.dilation), conv.groups
        self.register_buffer("kernels", _OPS.qconv_prepack(q, scales, 1.0, 0, *self.form))
        self.register_buffer("sums", scales * q.flatten(1).sum(dim=1))
        _keep(self, scales, conv.bias)

    def forward(self, x: Features) -> Features:
        """Return the convolution in bf16; it lies in memory with the channels last."""
        q, scale, zero = quantised(x.movedim(1, 3).contiguous())
        bordered = F.pad(q, self.border, value=zero).movedim(3, 1)
        bias = torch.add(self.bias, self.sums, alpha=-scale * zero)
        weights = self.kernels, self.scales, self.zeros, bias
        out: Tensor = _OPS.qconv2d_pointwise(bordered, scale, 0, *weights, *self.form, *_AS_BF16)
        return out


class Int8Linear(nn.Module):
    """A linear layer in place of one of torch's."""

    kernels: Tensor
    scales: Tensor
    zeros: Tensor
    bias: Tensor

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        q, scales = _quantised_rows(weight)
        self.register_buffer("kernels", _OPS.qlinear_prepack(q, None))
        _keep(self, scales, bias)

    def forward(self, x: Float[Tensor, "... C"]) -> Float[Tensor, "... D"]:
        """Return the product in bf16."""
        weights = self.kernels, self.scales, self.zeros, self.bias
        out: Tensor = _OPS.qlinear_pointwise(*quantised(x), *weights, *_AS_BF16)
        return out


class Int8Attention(nn.Module):
    """Self-attention whose three projections are one."""

    def __init__(self, attention: Attention) -> None:
        super().__init__()
        self.heads, self.to_out = attention.heads, attention.to_out
        three = attention.to_q, attention.to_k, attention.to_v
        self.to_qkv = Int8Linear(torch.cat([linear.weight for linear in three]), None)

    def forward(self, x: Float[Tensor, "B L C"]) -> Float[Tensor, "B L C"]:
        q, k, v = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in self.to_qkv(x).chunk(3, dim=-1)
        )  # each (B, H, L, C/H)
        out: Tensor = self.to_out[0](attend(q, k, v).transpose(1, 2).flatten(2))  # (B, L, C)
        return out


def quantised(x: Tensor) -> tuple[Tensor, float, int]:
    """Return q, s and z of a tensor in bf16, whose numbers lie in memory in order."""
    least, largest = x.aminmax()
    low, high = min(float(least), 0.0), max(float(largest), 0.0)
    # In bf16, as torch takes factors of such tensors; that holds the integers up to 256.
    per_step = float(x.new_tensor(_STEPS / max(high - low, _LEAST)))
    zero = round(-low * per_step)
    q = torch.add(x.new_tensor(float(zero - _SIGN)), x, alpha=per_step).round_()
    # torch converts to signed bytes six times as fast; turning the sign's bit adds what is missing.
    return q.to(torch.int8).view(torch.uint8) ^ _SIGN, 1 / per_step, zero


def _quantised_rows(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return the integers of a kernel and the scale of every output channel."""
    w = weight.detach().float()
    scales = w.flatten(1).abs().amax(dim=1).clamp(min=_LEAST) / _LARGEST
    return (w / scales.view(-1, *[1] * (w.dim() - 1))).round().to(torch.int8), scales


def _keep(module: nn.Module, scales: Tensor, bias: Tensor | None) -> None:
    given = torch.zeros_like(scales) if bias is None else bias.detach().float()
    module.register_buffer("scales", scales)
    module.register_buffer("zeros", torch.zeros(len(scales), dtype=torch.long))
    module.register_buffer("bias", given)


def with_int8(module: M) -> M:
    """Return a network in bf16 with its heavy layers exchanged.

    Its weights are then of another form: it computes, and is neither trained nor written.
    """
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Conv2d) and _is_heavy(child):
                _exchange(parent, name, Int8Conv2d(child))
            elif isinstance(child, Attention):
                _exchange(parent, name, Int8Attention(child))
            elif isinstance(child, GatedGelu):
                _exchange(child, "proj", Int8Linear(child.proj.weight, child.proj.bias))
    return module


def _is_heavy(conv: nn.Conv2d) -> bool:
    return conv.kernel_size == (3, 3) and min(conv.in_channels, conv.out_channels) >= _NARROWEST


def _exchange(parent: nn.Module, name: str, layer: nn.Module) -> None:
    before = getattr(parent, name)
    setattr(parent, name, layer)
    give_back(p for p in before.parameters() if p not in set(layer.parameters()))
