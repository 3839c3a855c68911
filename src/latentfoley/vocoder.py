"""Log-mel → waveform: the HiFi-GAN generator (Kong et al. 2020, arXiv 2010.05646, §2.2).

Each stage stretches time by a transposed convolution, then averages residual blocks that see it
through different kernels and dilations (multi-receptive-field fusion); tanh ends in [-1, 1].

Reading path: it takes what `vae.Vae.decode` returns and ends the path. It does not know about
durations: the first stage of the published generator adds a few samples at the end (kernel minus
stride is odd), and `pipeline.py` trims to the length that was asked for.
"""

import math
from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from latentfoley.config import VocoderConfig
from latentfoley.notation import LogMel, Waveform

Hidden = Float[Tensor, "B C N"]


class Vocoder(nn.Module):
    """The generator. 55,264,897 parameters at the published size, without weight norm."""

    mean: Tensor
    scale: Tensor

    def __init__(self, config: VocoderConfig) -> None:
        super().__init__()
        self.config = config
        widths = [config.channels // 2**i for i in range(len(config.upsample_rates) + 1)]
        self.conv_pre = nn.Conv1d(config.n_mels, widths[0], 7, padding=3)
        self.upsampler = nn.ModuleList(
            nn.ConvTranspose1d(before, width, kernel, rate, padding=(kernel - rate) // 2)
            for before, width, kernel, rate in zip(
                widths, widths[1:], config.upsample_kernels, config.upsample_rates, strict=False
            )
        )
        self.resblocks = nn.ModuleList(
            ResidualBlock(width, kernel, dilations, config.leaky_relu_slope)
            for width in widths[1:]
            for kernel, dilations in zip(
                config.resblock_kernels, config.resblock_dilations, strict=True
            )
        )
        self.conv_post = nn.Conv1d(widths[-1], 1, 7, padding=3)
        # The published files carry a normalisation that is the identity; kept so that they load.
        self.register_buffer("mean", torch.zeros(config.n_mels))
        self.register_buffer("scale", torch.ones(config.n_mels))

    def forward(self, log_mel: LogMel) -> Waveform:
        """Return the waveform in (-1, 1): hop · T samples, and the generator's tail after them."""
        h = self.conv_pre(log_mel.squeeze(1).transpose(1, 2))  # (B, C, T)
        for stage, upsample in enumerate(self.upsampler):
            h = upsample(F.leaky_relu(h, self.config.leaky_relu_slope))  # (B, C/2, N·rate)
            h = self._fuse(h, stage)
        # 0.01, not `leaky_relu_slope`: the original leaves this one at the default of torch.
        return torch.tanh(self.conv_post(F.leaky_relu(h, 0.01))).squeeze(1)  # (B, N)

    @property
    def reach(self) -> int:
        """How many frames to either side a sample depends on at most."""
        config = self.config
        block = max(
            sum((kernel - 1) // 2 * (d + 1) for d in dilations)
            for kernel, dilations in zip(
                config.resblock_kernels, config.resblock_dilations, strict=True
            )
        )
        reach, rate = 3.0, 1  # of the first convolution, at one sample to a frame
        for up, kernel in zip(config.upsample_rates, config.upsample_kernels, strict=True):
            reach += math.ceil(kernel / up) / rate
            rate *= up
            reach += block / rate
        return math.ceil(reach + 3 / rate)

    def _fuse(self, h: Hidden, stage: int) -> Hidden:
        """Average the residual blocks of one stage."""
        count = len(self.config.resblock_kernels)
        blocks = [self.resblocks[stage * count + i] for i in range(count)]
        total = cast(Tensor, blocks[0](h))
        for block in blocks[1:]:
            total = total + block(h)
        return total / count


class ResidualBlock(nn.Module):
    """Pairs of convolutions, the first of each dilated, with a residual around every pair."""

    def __init__(self, width: int, kernel: int, dilations: tuple[int, ...], slope: float) -> None:
        super().__init__()
        self.slope = slope
        self.convs1 = nn.ModuleList(
            nn.Conv1d(width, width, kernel, dilation=d, padding=d * (kernel - 1) // 2)
            for d in dilations
        )
        self.convs2 = nn.ModuleList(
            nn.Conv1d(width, width, kernel, padding=(kernel - 1) // 2) for _ in dilations
        )

    def forward(self, h: Hidden) -> Hidden:
        for dilated, plain in zip(self.convs1, self.convs2, strict=True):
            inner = dilated(F.leaky_relu(h, self.slope))
            h = h + plain(F.leaky_relu(inner, self.slope))
        return h
