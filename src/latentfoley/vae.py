"""Log-mel ↔ latent: the convolutional VAE of the first stage (AudioLDM §3.3).

An encoder halves time and frequency once per level but the last, a single attention layer looks at
the whole clip, and the posterior of each latent position is a Gaussian:

    q(z | X) = N(mean, exp(logvar)),   logvar clamped to [-30, 20]

The diffusion model sees `scaling_factor · z`, which has unit variance over the training set.
Compression r = 2, 4, 8 or 16 is 2, 3, 4 or 5 levels. A `patch_size` takes the place of the finest
levels: the patches of a log-mel become channels, and what the network says is added to a linear map
of them, as in the shortcuts of Chen et al. 2024 (DC-AE, §3.1); see docs/decisions/0134.

Reading path: `mel.py` gives the log-mel, `unet.py` works on the latent, `vocoder.py` takes what
`decode` returns. It does not know about diffusion, and pads no input: T must divide by r.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from latentfoley.blocks import Features, ResnetBlock, Upsample
from latentfoley.config import VaeConfig
from latentfoley.errors import InputError
from latentfoley.notation import Latent, LogMel


class Vae(nn.Module):
    """Autoencoder of log-mels. Widths and depth come from the config; the mel has one channel."""

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        self.quant_conv = nn.Conv2d(2 * config.latent_channels, 2 * config.latent_channels, 1)
        self.post_quant_conv = nn.Conv2d(config.latent_channels, config.latent_channels, 1)

    def posterior(self, log_mel: LogMel) -> tuple[Latent, Latent]:
        """Return mean and log-variance of q(z | X), unscaled, each (B, C, T/r, F/r).

        Raises:
            InputError: T or F is not a multiple of the compression r.
        """
        r = self.config.compression
        if log_mel.shape[-2] % r or log_mel.shape[-1] % r:
            raise InputError(
                f"the VAE compresses by {r}: frames and mel bands must be multiples of {r}, "
                f"got {tuple(log_mel.shape[-2:])}"
            )
        mean, logvar = self.quant_conv(self.encoder(log_mel)).chunk(2, dim=1)
        return mean, logvar.clamp(-30, 20)

    def encode(self, log_mel: LogMel, noise: Latent | None = None) -> Latent:
        """Return the scaled latent z_0; `noise` is a standard normal, None takes the mean."""
        mean, logvar = self.posterior(log_mel)
        z = mean if noise is None else mean + torch.exp(logvar / 2) * noise
        return self.config.scaling_factor * z

    def decode(self, z_0: Latent) -> LogMel:
        """Return the log-mel (nats) of a scaled latent, r times as long and as high."""
        out: LogMel = self.decoder(self.post_quant_conv(z_0 / self.config.scaling_factor))
        return out


class Encoder(nn.Module):
    """Log-mel (B, 1, T, F) → posterior parameters (B, 2C, T/r, F/r)."""

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        widths, groups = config.block_channels, config.norm_groups
        self.patch_size, self.compression = config.patch_size, config.compression
        self.conv_in = nn.Conv2d(config.patch_size**2, widths[0], 3, padding=1)
        self.down_blocks = nn.ModuleList(
            DownBlock(before, width, config.layers_per_block, groups, down=level < len(widths) - 1)
            for level, (before, width) in enumerate(zip((widths[0], *widths), widths, strict=False))
        )
        self.mid_block = MidBlock(widths[-1], groups)
        self.conv_norm_out = nn.GroupNorm(groups, widths[-1], 1e-6)
        self.conv_out = nn.Conv2d(widths[-1], 2 * config.latent_channels, 3, padding=1)
        self.shortcut = (
            nn.Conv2d(config.compression**2, 2 * config.latent_channels, 1)
            if config.patch_size > 1
            else None
        )

    def forward(self, log_mel: LogMel) -> Features:
        x = self.conv_in(F.pixel_unshuffle(log_mel, self.patch_size))
        for block in self.down_blocks:
            x = block(x)  # (B, C', T/2, F/2)
        x = self.mid_block(x)
        out: Features = self.conv_out(F.silu(self.conv_norm_out(x)))
        if self.shortcut is not None:
            out = out + self.shortcut(F.pixel_unshuffle(log_mel, self.compression))
        return out


class Decoder(nn.Module):
    """Latent (B, C, T/r, F/r) → log-mel (B, 1, T, F); one more layer per level than the encoder."""

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        widths, groups = config.block_channels[::-1], config.norm_groups
        self.patch_size, self.compression = config.patch_size, config.compression
        self.conv_in = nn.Conv2d(config.latent_channels, widths[0], 3, padding=1)
        self.mid_block = MidBlock(widths[0], groups)
        self.up_blocks = nn.ModuleList(
            UpBlock(before, width, config.layers_per_block + 1, groups, up=level < len(widths) - 1)
            for level, (before, width) in enumerate(zip((widths[0], *widths), widths, strict=False))
        )
        self.conv_norm_out = nn.GroupNorm(groups, widths[-1], 1e-6)
        self.conv_out = nn.Conv2d(widths[-1], config.patch_size**2, 3, padding=1)
        self.shortcut = (
            nn.Conv2d(config.latent_channels, config.compression**2, 1)
            if config.patch_size > 1
            else None
        )

    def forward(self, z: Latent) -> LogMel:
        x = self.mid_block(self.conv_in(z))
        for block in self.up_blocks:
            x = block(x)  # (B, C', 2T, 2F)
        x = self.conv_out(F.silu(self.conv_norm_out(x)))
        out: LogMel = F.pixel_shuffle(x, self.patch_size)
        if self.shortcut is not None:
            out = out + F.pixel_shuffle(self.shortcut(z), self.compression)
        return out


class DownBlock(nn.Module):
    """Residual blocks, then (unless it is the last level) halve T and F."""

    def __init__(self, before: int, width: int, layers: int, groups: int, *, down: bool) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(
            ResnetBlock(before if i == 0 else width, width, groups=groups) for i in range(layers)
        )
        self.downsamplers = nn.ModuleList([Downsample(width)] if down else [])

    def forward(self, x: Features) -> Features:
        for layer in (*self.resnets, *self.downsamplers):
            x = layer(x)
        return x


class UpBlock(nn.Module):
    """Residual blocks, then (unless it is the last level) double T and F."""

    def __init__(self, before: int, width: int, layers: int, groups: int, *, up: bool) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(
            ResnetBlock(before if i == 0 else width, width, groups=groups) for i in range(layers)
        )
        self.upsamplers = nn.ModuleList([Upsample(width)] if up else [])

    def forward(self, x: Features) -> Features:
        for layer in (*self.resnets, *self.upsamplers):
            x = layer(x)
        return x


class Downsample(nn.Module):
    """Stride-2 convolution padded on the right and bottom only, as the published weights expect."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Features) -> Features:
        out: Features = self.conv(F.pad(x, (0, 1, 0, 1)))
        return out


class MidBlock(nn.Module):
    """Residual block, attention over every position of the clip, residual block."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(
            ResnetBlock(channels, channels, groups=groups) for _ in range(2)
        )
        self.attentions = nn.ModuleList([Attention(channels, groups)])

    def forward(self, x: Features) -> Features:
        x = self.attentions[0](self.resnets[0](x))
        out: Features = self.resnets[1](x)
        return out


class Attention(nn.Module):
    """Single-head self-attention over the T·F positions."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.group_norm = nn.GroupNorm(groups, channels, 1e-6)
        self.to_q = nn.Linear(channels, channels)
        self.to_k = nn.Linear(channels, channels)
        self.to_v = nn.Linear(channels, channels)
        self.to_out = nn.ModuleList([nn.Linear(channels, channels)])

    def forward(self, x: Features) -> Features:
        h = self.group_norm(x).flatten(2).transpose(1, 2).unsqueeze(1)  # (B, 1, T·F, C)
        h = F.scaled_dot_product_attention(self.to_q(h), self.to_k(h), self.to_v(h))
        h = self.to_out[0](h.squeeze(1)).transpose(1, 2)  # (B, C, T·F)
        out: Features = x + h.reshape(x.shape)
        return out


def kl_divergence(mean: Latent, logvar: Latent) -> Float[Tensor, "B"]:
    """Return KL(q(z | X) ‖ N(0, 1)) per clip, averaged over the latent's elements, in nats."""
    return 0.5 * (mean.square() + logvar.exp() - 1 - logvar).flatten(1).mean(1)
