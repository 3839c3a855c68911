"""The sizes of the paper: one function per size. A recipe names them.

S, M and L are the released AudioLDM checkpoints (parameter counts and widths from their
configuration files on the Hugging Face hub, `cvssp/audioldm-*`, and from the code of
haoheliu/AudioLDM).
"""

from latentfoley.config import ModelConfig, UnetConfig, VaeConfig
from latentfoley.errors import InputError, nearest


def small() -> ModelConfig:
    """S: UNet of 185,036,552 parameters, 32 channels per head."""
    return ModelConfig(unet=_published_unet(128, head_channels=32))


def medium() -> ModelConfig:
    """M: UNet of 415,954,568 parameters, 32 channels per head."""
    return ModelConfig(unet=_published_unet(192, head_channels=32))


def large() -> ModelConfig:
    """L: UNet of 739,139,080 parameters, 64 channels per head."""
    return ModelConfig(unet=_published_unet(256, head_channels=64))


def compression(r: int) -> VaeConfig:
    """The VAE at compression r = 2, 4, 8 or 16.

    Only r = 4 was released. The widths of the other levels are ours: 128·(1, 2, 4, 4, 4) cut to
    length, with latent channels 4, 8, 16, 32, so that halving the resolution costs half the values.

    Raises:
        InputError: r is not one of the four.
    """
    channels = {2: 4, 4: 8, 8: 16, 16: 32}
    if r not in channels:
        raise InputError(f"compression {r} is not available; {nearest(str(r), map(str, channels))}")
    levels = r.bit_length()
    return VaeConfig(latent_channels=channels[r], block_channels=(128, 256, 512, 512, 512)[:levels])


def _published_unet(width: int, *, head_channels: int) -> UnetConfig:
    widths = tuple(width * multiple for multiple in (1, 2, 3, 5))
    return UnetConfig(block_channels=widths, heads=tuple(w // head_channels for w in widths))


SIZES = {"small": small, "medium": medium, "large": large}  # as a recipe names them
