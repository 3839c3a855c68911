"""Wide convolutions of a network in fp32 on a CPU, exchanged for ways with fewer multiplications.

The other ways transform what goes in and what comes out, which costs the same for few channels as
for many, and save products, of which there are more the wider a layer is. `loading.py` calls
`with_fast_convolutions`; nothing else knows of it. What was measured is in docs/decisions/0126 and
0141.
"""

from typing import TypeVar

import torch
from torch import nn

from latentfoley.cook_toom import CookToomConv1d
from latentfoley.pages import give_back
from latentfoley.winograd import WinogradConv2d

M = TypeVar("M", bound=nn.Module)

NARROWEST = 256  # channels, in and out, of a 3 x 3 convolution that gains
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
    for parent, name, child in children:
        if faster := _faster(child):
            setattr(parent, name, faster)
            give_back(child.parameters())
    for parameter in module.parameters():
        # Copies: one tensor left in the mapped file would keep all of it in memory.
        kept = torch.channels_last if parameter.dim() == 4 else torch.contiguous_format
        parameter.data = parameter.data.clone(memory_format=kept)
    return module


def _faster(layer: nn.Module) -> WinogradConv2d | CookToomConv1d | None:
    """Return what computes the same with fewer multiplications, where that is faster."""
    if isinstance(layer, nn.Conv2d) and _gains_in_2d(layer):
        return WinogradConv2d(layer)
    if isinstance(layer, nn.Conv1d) and _gains_in_1d(layer):
        return CookToomConv1d(layer)
    return None


def _gains_in_2d(conv: nn.Conv2d) -> bool:
    form = (conv.kernel_size, conv.stride, conv.padding, conv.dilation, conv.groups)
    square = form == ((3, 3), (1, 1), (1, 1), (1, 1), 1)
    return square and min(conv.in_channels, conv.out_channels) >= NARROWEST


def _gains_in_1d(conv: nn.Conv1d) -> bool:
    (K,), (d,) = conv.kernel_size, conv.dilation
    keeps_length = K % 2 == 1 and conv.padding == (d * (K - 1) // 2,)
    products = K * min(conv.in_channels, conv.out_channels)
    plain = (conv.stride, conv.groups) == ((1,), 1)
    return plain and keeps_length and products >= FEWEST_PRODUCTS
