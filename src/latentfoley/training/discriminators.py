"""The networks that tell real from made: for log-mels (PatchGAN) and for waveforms (HiFi-GAN)."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from latentfoley.notation import LogMel, Waveform

Maps = list[Tensor]


class PatchDiscriminator(nn.Module):
    """Scores overlapping patches of a log-mel (Isola et al. 2017, §3.2.2; three layers, kernel 4).

    Returns (B, 1, T', F'): above zero where a patch looks real.
    """

    def __init__(self, channels: int = 64, layers: int = 3) -> None:
        super().__init__()
        widths = [channels * min(2**i, 8) for i in range(layers + 1)]
        stages: list[nn.Module] = [nn.Conv2d(1, widths[0], 4, 2, 1), nn.LeakyReLU(0.2)]
        for i, (before, width) in enumerate(pairwise(widths)):
            stride = 1 if i == layers - 1 else 2
            stages += [
                nn.Conv2d(before, width, 4, stride, 1, bias=False),
                nn.GroupNorm(8, width),
                nn.LeakyReLU(0.2),
            ]
        self.stages = nn.Sequential(*stages, nn.Conv2d(widths[-1], 1, 4, 1, 1))

    def forward(self, log_mel: LogMel) -> Float[Tensor, "B 1 T2 F2"]:
        out: Tensor = self.stages(log_mel)
        return out


class WaveformDiscriminator(nn.Module):
    """HiFi-GAN's discriminators (Kong et al. 2020, §2.3): five of periods and three of scales.

    Args:
        channels: width of the first layers; the paper's sizes are 32 (period) and 128 (scale),
            here four times `channels` for the scale discriminators.
    """

    def __init__(self, channels: int = 32) -> None:
        super().__init__()
        self.periods = nn.ModuleList(PeriodDiscriminator(p, channels) for p in (2, 3, 5, 7, 11))
        self.scales = nn.ModuleList(ScaleDiscriminator(s, channels) for s in (1, 2, 4))

    def forward(self, waveform: Waveform) -> list[Maps]:
        """Return the feature maps of each discriminator; the last map is its score."""
        return [discriminator(waveform) for discriminator in (*self.periods, *self.scales)]


class PeriodDiscriminator(nn.Module):
    """Folds the waveform to rows of `period` samples and looks down the columns."""

    def __init__(self, period: int, channels: int) -> None:
        super().__init__()
        self.period = period
        widths = [1, channels, 4 * channels, 8 * channels, 8 * channels]
        self.convs = nn.ModuleList(
            weight_norm(nn.Conv2d(before, width, (5, 1), (3, 1), (2, 0)))
            for before, width in pairwise(widths)
        )
        self.score = weight_norm(nn.Conv2d(widths[-1], 1, (3, 1), 1, (1, 0)))

    def forward(self, waveform: Waveform) -> Maps:
        padded = F.pad(waveform, (0, -waveform.shape[-1] % self.period))
        return _maps(padded.unflatten(-1, (-1, self.period)).unsqueeze(1), self.convs, self.score)


class ScaleDiscriminator(nn.Module):
    """Looks at the waveform averaged over `scale` samples, in grouped convolutions."""

    def __init__(self, scale: int, channels: int) -> None:
        super().__init__()
        self.scale = scale
        w = 4 * channels
        self.convs = nn.ModuleList(
            weight_norm(conv)
            for conv in (
                nn.Conv1d(1, w, 15, 1, 7),
                nn.Conv1d(w, w, 41, 2, 20, groups=4),
                nn.Conv1d(w, 2 * w, 41, 4, 20, groups=16),
                nn.Conv1d(2 * w, 4 * w, 41, 4, 20, groups=16),
                nn.Conv1d(4 * w, 4 * w, 5, 1, 2),
            )
        )
        self.score = weight_norm(nn.Conv1d(4 * w, 1, 3, 1, 1))

    def forward(self, waveform: Waveform) -> Maps:
        pooled = F.avg_pool1d(waveform.unsqueeze(1), self.scale)
        return _maps(pooled, self.convs, self.score)


def _maps(x: Tensor, convs: nn.ModuleList, score: nn.Module) -> Maps:
    maps = []
    for conv in convs:
        x = F.leaky_relu(conv(x), 0.1)
        maps.append(x)
    return [*maps, score(x)]


def hinge_loss(real: Tensor, made: Tensor) -> Float[Tensor, ""]:
    """Return the discriminator's loss: ½ (E[max(0, 1 - D(x))] + E[max(0, 1 + D(x̂))])."""
    return 0.5 * (F.relu(1 - real).mean() + F.relu(1 + made).mean())


def least_squares_loss(real: list[Maps], made: list[Maps]) -> Float[Tensor, ""]:
    """Return Σ E[(D(x) - 1)²] + E[D(x̂)²] over the discriminators (HiFi-GAN eq. 1)."""
    terms = [
        (r[-1] - 1).square().mean() + m[-1].square().mean() for r, m in zip(real, made, strict=True)
    ]
    return torch.stack(terms).sum()


def adversarial_loss(made: list[Maps]) -> Float[Tensor, ""]:
    """Return Σ E[(D(x̂) - 1)²] over the discriminators (HiFi-GAN eq. 2)."""
    return torch.stack([(m[-1] - 1).square().mean() for m in made]).sum()


def feature_matching_loss(real: list[Maps], made: list[Maps]) -> Float[Tensor, ""]:
    """Return the L1 distance of all inner feature maps (HiFi-GAN eq. 4)."""
    terms = [
        (r.detach() - m).abs().mean()
        for real_maps, made_maps in zip(real, made, strict=True)
        for r, m in zip(real_maps[:-1], made_maps[:-1], strict=True)
    ]
    return torch.stack(terms).sum()
