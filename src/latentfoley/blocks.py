"""The two convolution blocks that the VAE and the UNet are both made of.

Attribute names follow the published checkpoints (diffusers layout), so that a state dict needs
no renaming. Shapes are `(B, C, T, F)` throughout.
"""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

Features = Float[Tensor, "B C T F"]


class ResnetBlock(nn.Module):
    """Two normalised 3 x 3 convolutions beside a shortcut; a step embedding is added in between.

    The paper calls its conditioning FiLM; the released weights only add a bias per channel.

    Args:
        in_channels, out_channels: a 1 x 1 shortcut is made only where they differ.
        embedding_channels: width of the step-and-condition embedding; None for the VAE.
        groups, eps: of the group normalisation.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        embedding_channels: int | None = None,
        groups: int = 32,
        eps: float = 1e-6,
    ) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, in_channels, eps)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.time_emb_proj = (
            nn.Linear(embedding_channels, out_channels) if embedding_channels else None
        )
        self.norm2 = nn.GroupNorm(groups, out_channels, eps)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.conv_shortcut = (
            nn.Conv2d(in_channels, out_channels, 1) if in_channels != out_channels else None
        )

    def forward(self, x: Features, embedding: Float[Tensor, "B D"] | None = None) -> Features:
        h = self.conv1(F.silu(self.norm1(x)))
        if self.time_emb_proj is not None and embedding is not None:
            h = h + self.time_emb_proj(F.silu(embedding))[:, :, None, None]
        h = self.conv2(F.silu(self.norm2(h)))
        out: Features = h + (x if self.conv_shortcut is None else self.conv_shortcut(x))
        return out


class Upsample(nn.Module):
    """Repeat every position twice in T and F, or up to `size`, then convolve."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Features, size: tuple[int, int] | None = None) -> Features:
        size = size or (2 * x.shape[-2], 2 * x.shape[-1])
        x = F.interpolate(x, size=size, mode="nearest")  # (B, C, 2T, 2F)
        out: Features = self.conv(x)
        return out
