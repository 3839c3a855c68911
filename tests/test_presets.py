"""The sizes of the paper, as published."""

import pytest

from latentfoley.config import UnetConfig, VaeConfig
from latentfoley.errors import InputError
from latentfoley.presets import compression, large, medium, small


@pytest.mark.parametrize(
    ("preset", "widths", "heads"),
    [
        (small, (128, 256, 384, 640), (8, 12, 20)),
        (medium, (192, 384, 576, 960), (12, 18, 30)),
        (large, (256, 512, 768, 1280), (8, 12, 20)),
    ],
)
def test_widths_and_trained_heads(preset, widths, heads):
    unet = preset().unet
    assert unet.block_channels == widths
    assert unet.heads[1:] == heads  # level 0 has no attention
    assert unet.latent_channels == preset().vae.latent_channels == 8


def test_the_defaults_are_the_small_model():
    assert small().unet == UnetConfig()


@pytest.mark.parametrize("preset", [small, medium, large])
def test_the_parts_fit_together(preset):
    config = preset()
    assert config.mel.n_mels == config.vocoder.n_mels == 64
    assert config.mel.sample_rate == config.vocoder.sample_rate == 16_000
    assert config.vae.compression == 4


def test_the_released_compression_is_the_published_vae():
    assert compression(4) == VaeConfig()


@pytest.mark.parametrize("r", [2, 4, 8, 16])
def test_halving_the_resolution_halves_the_values(r):
    config = compression(r)
    assert config.compression == r
    assert config.latent_channels * (64 // r) ** 2 * r == 8 * 16**2 * 4


@pytest.mark.parametrize("r", [0, 1, 3, 32, -4])
def test_other_compressions_are_refused(r):
    with pytest.raises(InputError, match=f"compression {r} is not available; allowed: 2, 4, 8, 16"):
        compression(r)
