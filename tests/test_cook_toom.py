"""The way of Cook and Toom is the convolution, for every shape."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from latentfoley.cook_toom import CookToomConv1d

sizes = st.integers(1, 9)


def convolution(before, after, K, d, **options):
    return nn.Conv1d(before, after, K, dilation=d, padding=d * (K - 1) // 2, **options)


@settings(deadline=None)
@given(
    batch=st.integers(1, 3),
    N=st.integers(1, 200),
    K=st.sampled_from((1, 3, 5, 7, 9, 11)),
    d=st.integers(1, 5),
    before=sizes,
    after=sizes,
)
def test_it_is_the_convolution(batch, N, K, d, before, after):
    generator = torch.Generator().manual_seed(N)
    conv = convolution(before, after, K, d)
    x = torch.randn(batch, before, N, generator=generator)
    with torch.no_grad():
        torch.testing.assert_close(CookToomConv1d(conv)(x), conv(x), rtol=1e-5, atol=1e-5)


def test_tiles_that_do_not_fit_at_once(monkeypatch):
    monkeypatch.setattr("latentfoley.cook_toom._AT_ONCE", 5)
    conv, x = convolution(3, 2, 7, 2, bias=False), torch.randn(2, 3, 333)
    with torch.no_grad():
        torch.testing.assert_close(CookToomConv1d(conv)(x), conv(x), rtol=1e-5, atol=1e-5)


def test_its_rounding_is_a_few_times_that_of_single_precision():
    conv, x = convolution(256, 256, 11, 3), torch.randn(1, 256, 1000)
    with torch.no_grad():
        ours = CookToomConv1d(conv)(x)
        true = conv.double()(x.double())
    assert (ours - true).abs().max() < 5e-6 * true.abs().max()


def test_a_sound_in_a_batch_is_the_same_to_the_bit():
    conv, x = convolution(8, 8, 7, 3), torch.randn(3, 8, 700)
    with torch.no_grad():
        together, alone = CookToomConv1d(conv)(x), CookToomConv1d(conv)(x[1:2])
    assert torch.equal(together[1:2], alone)
