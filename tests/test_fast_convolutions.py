"""Only layers that gain are exchanged, and the network says what it said."""

from functools import partial

import pytest
import torch
from torch import nn

from latentfoley.config import VocoderConfig
from latentfoley.fast_convolutions import FEWEST_PRODUCTS, NARROWEST, WIDE, with_fast_convolutions
from latentfoley.vocoder import Vocoder
from latentfoley.winograd import WinogradConv1d, WinogradConv2d

square = partial(nn.Conv2d, kernel_size=3, padding=1)
WIDTH = -(-FEWEST_PRODUCTS // 7)
long = partial(nn.Conv1d, kernel_size=7, padding=3)


@pytest.mark.parametrize(
    ("conv", "exchanged"),
    [
        (square(NARROWEST, NARROWEST), True),
        (square(NARROWEST - 1, NARROWEST), False),
        (square(NARROWEST, NARROWEST - 1), False),
        (square(NARROWEST, NARROWEST, stride=2), False),
        (square(NARROWEST, NARROWEST, padding=0), False),
        (square(NARROWEST, NARROWEST, groups=NARROWEST), False),
        (nn.Conv2d(NARROWEST, NARROWEST, 1), False),
        (long(WIDTH, WIDTH), True),
        (long(WIDTH, WIDTH, dilation=3, padding=9), True),
        (long(WIDTH - 1, WIDTH), False),
        (long(WIDTH, WIDTH - 1), False),
        (long(WIDTH, WIDTH, stride=2), False),
        (long(WIDTH, WIDTH, padding=2), False),
        (long(WIDTH, WIDTH, groups=WIDTH), False),
        (nn.Conv1d(2 * WIDTH, 2 * WIDTH, 6, padding=3), False),
        (nn.Linear(NARROWEST, NARROWEST), False),
    ],
)
def test_which_are_exchanged(conv, exchanged):
    inside = with_fast_convolutions(nn.Sequential(nn.Sequential(conv), square(WIDE, WIDE)))[0][0]
    assert isinstance(inside, WinogradConv2d | WinogradConv1d) == exchanged
    assert exchanged or inside is conv


def test_a_network_without_a_wide_layer_stays_as_it_is():
    network = nn.Sequential(square(NARROWEST, NARROWEST), square(WIDE - 1, WIDE))
    assert all(isinstance(layer, nn.Conv2d) for layer in with_fast_convolutions(network))


def test_wider_ones_take_less_memory():
    network = nn.Sequential(square(WIDE, WIDE), square(WIDE + 1, WIDE + 1))
    assert [layer.m for layer in with_fast_convolutions(network)] == [4, 2]


def test_a_network_of_many_bytes_stays_as_it_is(monkeypatch):
    network = nn.Sequential(square(WIDE, WIDE))
    n_bytes = sum(weight.nbytes for weight in network.parameters())
    monkeypatch.setattr("latentfoley.fast_convolutions.MOST_BYTES", n_bytes - 1)
    assert isinstance(with_fast_convolutions(network)[0], nn.Conv2d)
    monkeypatch.setattr("latentfoley.fast_convolutions.MOST_BYTES", n_bytes)
    assert isinstance(with_fast_convolutions(network)[0], WinogradConv2d)


def test_a_vocoder_says_what_it_said(monkeypatch):
    monkeypatch.setattr("latentfoley.fast_convolutions.FEWEST_PRODUCTS", 40)
    vocoder = Vocoder(VocoderConfig(channels=32)).eval()
    log_mel = torch.randn(2, 1, 20, vocoder.config.n_mels)
    with torch.no_grad():
        before = vocoder(log_mel)
        after = with_fast_convolutions(vocoder)(log_mel)
    ways = [type(module) for module in vocoder.modules()]
    assert ways.count(WinogradConv1d) > 20
    assert ways.count(nn.Conv1d) > 20
    torch.testing.assert_close(after, before, rtol=1e-5, atol=2e-6)
