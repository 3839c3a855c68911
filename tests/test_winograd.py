"""Fewer multiplications are the same convolution, for every shape."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from latentfoley.winograd import WinogradConv1d, WinogradConv2d, minimal_filter

sizes = st.integers(1, 9)
tiles = pytest.mark.parametrize("m", [2, 4])


def convolution(before, after, K, d, **options):
    return nn.Conv1d(before, after, K, dilation=d, padding=d * (K - 1) // 2, **options)


class TestMinimalFilter:
    @pytest.mark.parametrize(("m", "r"), [(2, 3), (4, 3), (4, 4)])
    def test_it_is_the_filter(self, m, r):
        A, G, B = (matrix.numpy() for matrix in minimal_filter(m, r))
        rng = np.random.default_rng(0)
        g, d = rng.standard_normal(r), rng.standard_normal(m + r - 1)
        filtered = A @ ((G @ g) * (B @ d))
        np.testing.assert_allclose(filtered, np.correlate(d, g, "valid"), rtol=1e-12, atol=1e-12)


class TestPictures:
    @settings(deadline=None)
    @given(
        m=st.sampled_from((2, 4)),
        batch=st.integers(1, 3),
        T=st.integers(1, 70),
        n_bands=sizes,
        before=sizes,
        after=sizes,
    )
    def test_it_is_the_convolution(self, m, batch, T, n_bands, before, after):
        generator = torch.Generator().manual_seed(T)
        conv = nn.Conv2d(before, after, 3, padding=1)
        x = torch.randn(batch, before, T, n_bands, generator=generator)
        with torch.no_grad():
            torch.testing.assert_close(WinogradConv2d(conv, m)(x), conv(x), rtol=2e-5, atol=2e-5)

    @tiles
    def test_rows_that_do_not_fit_at_once(self, monkeypatch, m):
        monkeypatch.setattr("latentfoley.winograd._AT_ONCE", 5)
        conv, x = nn.Conv2d(3, 2, 3, padding=1, bias=False), torch.randn(2, 3, 11, 3)
        with torch.no_grad():
            torch.testing.assert_close(WinogradConv2d(conv, m)(x), conv(x), rtol=2e-5, atol=2e-5)

    def test_it_is_exact_where_numbers_are_whole(self):
        conv = nn.Conv2d(4, 4, 3, padding=1)
        x = torch.randint(-8, 8, (1, 4, 6, 6)).float()
        with torch.no_grad():
            for parameter in conv.parameters():
                parameter.copy_(torch.randint(-8, 8, parameter.shape))
            assert torch.equal(WinogradConv2d(conv, 2)(x), conv(x))


class TestSounds:
    @settings(deadline=None)
    @given(
        batch=st.integers(1, 3),
        N=st.integers(1, 200),
        K=st.sampled_from((1, 3, 5, 7, 9, 11)),
        d=st.integers(1, 5),
        before=sizes,
        after=sizes,
    )
    def test_it_is_the_convolution(self, batch, N, K, d, before, after):
        generator = torch.Generator().manual_seed(N)
        conv = convolution(before, after, K, d)
        x = torch.randn(batch, before, N, generator=generator)
        with torch.no_grad():
            torch.testing.assert_close(WinogradConv1d(conv)(x), conv(x), rtol=2e-5, atol=2e-5)

    def test_tiles_that_do_not_fit_at_once(self, monkeypatch):
        monkeypatch.setattr("latentfoley.winograd._AT_ONCE", 5)
        conv, x = convolution(3, 2, 7, 2, bias=False), torch.randn(2, 3, 333)
        with torch.no_grad():
            torch.testing.assert_close(WinogradConv1d(conv)(x), conv(x), rtol=2e-5, atol=2e-5)

    def test_a_sound_in_a_batch_is_the_same_to_the_bit(self):
        conv, x = convolution(8, 8, 7, 3), torch.randn(3, 8, 700)
        with torch.no_grad():
            together, alone = WinogradConv1d(conv)(x), WinogradConv1d(conv)(x[1:2])
        assert torch.equal(together[1:2], alone)


class TestRounding:
    """A few times that of the direct way, which has up to 3e-6 with as many channels."""

    @pytest.mark.parametrize(
        ("fast", "conv", "shape"),
        [
            (lambda conv: WinogradConv2d(conv, 2), nn.Conv2d(256, 256, 3, padding=1), (64, 8)),
            (lambda conv: WinogradConv2d(conv, 4), nn.Conv2d(256, 256, 3, padding=1), (64, 8)),
            (WinogradConv1d, convolution(256, 256, 11, 3), (1000,)),
        ],
    )
    def test_it_is_small(self, fast, conv, shape):
        x = torch.randn(1, 256, *shape)
        with torch.no_grad():
            ours = fast(conv)(x)
            true = conv.double()(x.double())
        assert (ours - true).abs().max() < 6e-6 * true.abs().max()
