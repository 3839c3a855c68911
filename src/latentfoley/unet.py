"""ε_θ(z_n, n, E): the UNet that predicts the noise in a latent (AudioLDM §3.2).

The clip's embedding E enters next to the step n: both are projected to 4·m channels (m, the width
of the first level), concatenated, and added per channel inside every residual block. Levels below
the first attend over all their positions, twice per transformer block: the published network keeps
the second, cross-attention layer of its ancestor but gives it no context, so it attends to itself.

Reading path: `samplers.py` calls it, `diffusion.py` trains it, `vae.py` gives meaning to z.
It does not know about guidance, text or sound. Attribute names follow the diffusers layout.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from latentfoley.attention import attend
from latentfoley.blocks import Features, ResnetBlock, Upsample
from latentfoley.config import UnetConfig
from latentfoley.notation import Embedding, Latent


class Unet(nn.Module):
    """The denoiser. Any T and F work; below a multiple of 2^(levels - 1) the up path meets the
    size of the skip it is concatenated with."""

    def __init__(self, config: UnetConfig) -> None:
        super().__init__()
        self.config = config
        widths, groups = config.block_channels, config.norm_groups
        m, layers = widths[0], config.layers_per_block
        self.conv_in = nn.Conv2d(config.latent_channels, m, 3, padding=1)
        self.time_embedding = TimeEmbedding(m, 4 * m)
        self.class_embedding = nn.Linear(config.embedding_dim, 4 * m)

        self.down_blocks = nn.ModuleList()
        skips = [m]
        for level, width in enumerate(widths):
            last = level == len(widths) - 1
            in_widths = [skips[-1]] + [width] * (layers - 1)
            self.down_blocks.append(
                DownBlock(in_widths, width, _heads(config, level), 8 * m, groups, down=not last)
            )
            skips += [width] * (layers + (not last))

        self.mid_block = MidBlock(widths[-1], config.heads[-1], 8 * m, groups)

        self.up_blocks = nn.ModuleList()
        before = widths[-1]
        for level in reversed(range(len(widths))):
            in_widths = []
            for _ in range(layers + 1):
                in_widths.append(before + skips.pop())
                before = widths[level]
            self.up_blocks.append(
                UpBlock(in_widths, before, _heads(config, level), 8 * m, groups, up=level > 0)
            )
        self.conv_norm_out = nn.GroupNorm(groups, m, 1e-5)
        self.conv_out = nn.Conv2d(m, config.latent_channels, 3, padding=1)

    def forward(self, z_n: Latent, n: Float[Tensor, "B"], E: Embedding) -> Latent:
        """Return the noise ε̂ that ε_θ sees in `z_n`, same shape.

        Args:
            z_n: noisy scaled latent (B, C, T/r, F/r).
            n: diffusion step of each clip, 0 … 999; fractions are allowed.
            E: CLAP embedding of each clip, unit norm.
        """
        embedding = torch.cat([self.time_embedding(n), self.class_embedding(E)], dim=1)  # (B, 8m)
        h = self.conv_in(z_n)
        skips = [h]
        for block in self.down_blocks:
            skips += block(h, embedding)
            h = skips[-1]
        h = self.mid_block(h, embedding)
        for block in self.up_blocks:
            h = block(h, embedding, skips)
        out: Latent = self.conv_out(F.silu(self.conv_norm_out(h)))
        return out


def _heads(config: UnetConfig, level: int) -> int | None:
    """Return the attention heads of a level; None at the first, which has no attention."""
    return config.heads[level] if level > 0 else None


class TimeEmbedding(nn.Module):
    """Sinusoid of the step (cosines first), then a two-layer perceptron."""

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.linear_1 = nn.Linear(channels, out_channels)
        self.linear_2 = nn.Linear(out_channels, out_channels)

    def forward(self, n: Float[Tensor, "B"]) -> Float[Tensor, "B D"]:
        half = self.channels // 2
        # In fp32: bf16 cannot tell step 998 from 999.
        k = torch.arange(half, dtype=torch.float32, device=n.device)
        angles = n.float()[:, None] * torch.exp(-math.log(10_000) * k / half)
        waves = torch.cat([angles.cos(), angles.sin()], dim=1).to(self.linear_1.weight.dtype)
        out: Tensor = self.linear_2(F.silu(self.linear_1(waves)))
        return out


class DownBlock(nn.Module):
    """Residual blocks, each followed by a transformer below the first level, then a halving.

    `forward` returns the output of every layer: the up path joins them all as skips.
    """

    def __init__(
        self,
        in_widths: list[int],
        width: int,
        heads: int | None,
        embedding_channels: int,
        groups: int,
        *,
        down: bool,
    ) -> None:
        super().__init__()
        self.resnets = _resnets(in_widths, width, embedding_channels, groups)
        self.attentions = _transformers(width, heads, len(in_widths), groups)
        self.downsamplers = nn.ModuleList([Downsample(width)] if down else [])

    def forward(self, h: Features, embedding: Float[Tensor, "B D"]) -> list[Features]:
        outputs = []
        for i, resnet in enumerate(self.resnets):
            h = resnet(h, embedding)
            if self.attentions:
                h = self.attentions[i](h)
            outputs.append(h)
        outputs += [downsample(h) for downsample in self.downsamplers]  # (B, C, T/2, F/2)
        return outputs


class UpBlock(nn.Module):
    """Residual blocks on the concatenated skips, transformers, then a doubling."""

    def __init__(
        self,
        in_widths: list[int],
        width: int,
        heads: int | None,
        embedding_channels: int,
        groups: int,
        *,
        up: bool,
    ) -> None:
        super().__init__()
        self.resnets = _resnets(in_widths, width, embedding_channels, groups)
        self.attentions = _transformers(width, heads, len(in_widths), groups)
        self.upsamplers = nn.ModuleList([Upsample(width)] if up else [])

    def forward(
        self, h: Features, embedding: Float[Tensor, "B D"], skips: list[Features]
    ) -> Features:
        """Consume this block's skips from the end of `skips`."""
        for i, resnet in enumerate(self.resnets):
            h = resnet(torch.cat([h, skips.pop()], dim=1), embedding)
            if self.attentions:
                h = self.attentions[i](h)
        for upsample in self.upsamplers:
            # The next skip may be odd: 125 frames halve to 63, which must come back as 125.
            h = upsample(h, (skips[-1].shape[-2], skips[-1].shape[-1]))
        return h


class MidBlock(nn.Module):
    """Residual block, transformer, residual block."""

    def __init__(self, width: int, heads: int, embedding_channels: int, groups: int) -> None:
        super().__init__()
        self.resnets = _resnets([width, width], width, embedding_channels, groups)
        self.attentions = _transformers(width, heads, 1, groups)

    def forward(self, h: Features, embedding: Float[Tensor, "B D"]) -> Features:
        h = self.attentions[0](self.resnets[0](h, embedding))
        out: Features = self.resnets[1](h, embedding)
        return out


class Downsample(nn.Module):
    """Stride-2 convolution, padded on all sides (unlike the VAE's)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: Features) -> Features:
        out: Features = self.conv(x)
        return out


class SpatialTransformer(nn.Module):
    """One transformer block over the T·F positions of a feature map, with an outer residual."""

    def __init__(self, channels: int, heads: int, groups: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, channels, 1e-6)
        self.proj_in = nn.Conv2d(channels, channels, 1)
        self.transformer_blocks = nn.ModuleList([TransformerBlock(channels, heads)])
        self.proj_out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Features) -> Features:
        h = self.proj_in(self.norm(x)).flatten(2).transpose(1, 2)  # (B, T·F, C)
        h = self.transformer_blocks[0](h)
        h = h.transpose(1, 2).reshape(x.shape)  # (B, C, T, F)
        out: Features = x + self.proj_out(h)
        return out


class TransformerBlock(nn.Module):
    """Self-attention twice, then a gated feed-forward; a residual around each."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(channels) for _ in range(3))
        self.attn1 = Attention(channels, heads)
        self.attn2 = Attention(channels, heads)
        self.ff = FeedForward(channels)

    def forward(self, x: Float[Tensor, "B L C"]) -> Float[Tensor, "B L C"]:
        x = x + self.attn1(self.norm1(x))
        x = x + self.attn2(self.norm2(x))
        out: Tensor = x + self.ff(self.norm3(x))
        return out


class Attention(nn.Module):
    """Multi-head self-attention."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(channels, channels, bias=False)
        self.to_k = nn.Linear(channels, channels, bias=False)
        self.to_v = nn.Linear(channels, channels, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(channels, channels)])

    def forward(self, x: Float[Tensor, "B L C"]) -> Float[Tensor, "B L C"]:
        q, k, v = (
            projection(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for projection in (self.to_q, self.to_k, self.to_v)
        )  # each (B, H, L, C/H)
        h = attend(q, k, v)
        out: Tensor = self.to_out[0](h.transpose(1, 2).flatten(2))  # (B, L, C)
        return out


class FeedForward(nn.Module):
    """GEGLU: a value gated by a GELU, four times as wide inside (Shazeer 2020)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        # The published keys are `net.0.proj` and `net.2`; the identity takes a dropout's place.
        self.net = nn.ModuleList(
            [GatedGelu(channels, 4 * channels), nn.Identity(), nn.Linear(4 * channels, channels)]
        )

    def forward(self, x: Float[Tensor, "B L C"]) -> Float[Tensor, "B L C"]:
        for layer in self.net:
            x = layer(x)
        return x


class GatedGelu(nn.Module):
    """Project to a value and a gate; return value · GELU(gate)."""

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.proj = nn.Linear(channels, 2 * out_channels)

    def forward(self, x: Float[Tensor, "B L C"]) -> Float[Tensor, "B L D"]:
        value, gate = self.proj(x).chunk(2, dim=-1)
        out: Tensor = value * F.gelu(gate)
        return out


def _resnets(
    in_widths: list[int], width: int, embedding_channels: int, groups: int
) -> nn.ModuleList:
    return nn.ModuleList(
        ResnetBlock(before, width, embedding_channels=embedding_channels, groups=groups, eps=1e-5)
        for before in in_widths
    )


def _transformers(width: int, heads: int | None, count: int, groups: int) -> nn.ModuleList:
    """Return `count` transformers; none where the level has no attention."""
    if heads is None:
        return nn.ModuleList()
    return nn.ModuleList(SpatialTransformer(width, heads, groups) for _ in range(count))
