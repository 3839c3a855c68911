"""Wide convolutions of a network in fp32 on a CPU, exchanged for ways with fewer multiplications.

The other ways transform what goes in and what comes out, which costs the same for few channels as
for many, and save products, of which there are more the wider a layer is. `loading.py` calls
`with_fast_convolutions`; nothing else knows of it. What was measured is in docs/decisions/0126,
0141 and 0143.
"""

from typing import TypeGuard, TypeVar

import torch
from torch import nn

from latentfoley.pages import give_back
from latentfoley.winograd import WinogradConv1d, WinogradConv2d

M = TypeVar("M", bound=nn.Module)

NARROWEST = 128  # channels, in and out, of a 3 x 3 convolution that gains
WIDE = 256  # in a network with no such layer nothing gains; beyond, F(4 x 4) takes much memory
FEWEST_PRODUCTS = 1400  # of a 1-D one: kernel size times channels, in and out
MOST_BYTES = 1 << 30  # of a network: beyond, its memory nearly doubles where there is most of it


def with_fast_convolutions(module: M) -> M:
    """Return the module, its wide convolutions exchanged and its features' channels last.

    Its weights are then of another form: it computes, and is neither trained nor written. One of
    more than `MOST_BYTES` is returned as it is.
    """
    if sum(weight.nbytes for weight in module.parameters()) > MOST_BYTES:
        return module
    children = [
        (parent, name, child)
        for parent in module.modules()
        for name, child in parent.named_children()
    ]
    widest = max((_width(child) for _, _, child in children if _is_square(child)), default=0)
    narrowest = NARROWEST if widest >= WIDE else widest + 1
    for parent, name, child in children:
        if faster := _faster(child, narrowest):
            setattr(parent, name, faster)
            give_back(child.parameters())
    for parameter in module.parameters():
        # Copies: one tensor left in the mapped file would keep all of it in memory.
        kept = torch.channels_last if parameter.dim() == 4 else torch.contiguous_format
        parameter.data = parameter.data.clone(memory_format=kept)
    return module


def _faster(layer: nn.Module, narrowest: int) -> WinogradConv1d | WinogradConv2d | None:
    """Return what computes the same with fewer multiplications, where that is faster: of 3 x 3
    convolutions, from `narrowest` channels on."""
    if _is_square(layer) and _width(layer) >= narrowest:
        return WinogradConv2d(layer, m=4 if _width(layer) <= WIDE else 2)
    if isinstance(layer, nn.Conv1d) and _gains_in_1d(layer):
        return WinogradConv1d(layer)
    return None


def _is_square(layer: nn.Module) -> TypeGuard[nn.Conv2d]:
    """Return whether it is a 3 x 3 convolution that keeps the size."""
    if not isinstance(layer, nn.Conv2d):
        return False
    form = (layer.kernel_size, layer.stride, layer.padding, layer.dilation, layer.groups)
    return form == ((3, 3), (1, 1), (1, 1), (1, 1), 1)


def _width(conv: nn.Conv1d | nn.Conv2d) -> int:
    """Return the channels that go in or come out, whichever are fewer."""
    return min(conv.in_channels, conv.out_channels)


def _gains_in_1d(conv: nn.Conv1d) -> bool:
    (K,), (d,) = conv.kernel_size, conv.dilation
    keeps_length = K % 2 == 1 and conv.padding == (d * (K - 1) // 2,)
    products = K * _width(conv)
    plain = (conv.stride, conv.groups) == ((1,), 1)
    return plain and keeps_length and products >= FEWEST_PRODUCTS
