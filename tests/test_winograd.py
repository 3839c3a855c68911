"""Winograd's way is the convolution, for every shape."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from latentfoley.winograd import WinogradConv2d

sizes = st.integers(1, 9)


@settings(deadline=None)
@given(batch=st.integers(1, 3), T=st.integers(1, 70), n_bands=sizes, before=sizes, after=sizes)
def test_it_is_the_convolution(batch, T, n_bands, before, after):
    generator = torch.Generator().manual_seed(T)
    conv = nn.Conv2d(before, after, 3, padding=1)
    x = torch.randn(batch, before, T, n_bands, generator=generator)
    with torch.no_grad():
        torch.testing.assert_close(WinogradConv2d(conv)(x), conv(x), rtol=1e-5, atol=1e-5)


def test_rows_that_do_not_fit_at_once(monkeypatch):
    monkeypatch.setattr("latentfoley.winograd._AT_ONCE", 5)
    conv, x = nn.Conv2d(3, 2, 3, padding=1, bias=False), torch.randn(2, 3, 11, 3)
    with torch.no_grad():
        torch.testing.assert_close(WinogradConv2d(conv)(x), conv(x), rtol=1e-5, atol=1e-5)


def test_it_is_exact_where_numbers_are_whole():
    conv = nn.Conv2d(4, 4, 3, padding=1)
    x = torch.randint(-8, 8, (1, 4, 6, 6)).float()
    with torch.no_grad():
        for parameter in conv.parameters():
            parameter.copy_(torch.randint(-8, 8, parameter.shape))
        assert torch.equal(WinogradConv2d(conv)(x), conv(x))
