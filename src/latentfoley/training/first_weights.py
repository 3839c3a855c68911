"""The weights of a denoiser before its first step.

Every residual branch begins as nothing; the whole network, where it predicts noise, as ε̂ = z_n.
The embedding E enters as loud as the step n does.
"""

import torch
from torch import nn

from latentfoley.config import ScheduleConfig, UnetConfig
from latentfoley.unet import Unet


def new_unet(config: UnetConfig, schedule: ScheduleConfig) -> Unet:
    """Return a denoiser to train from nothing; random by torch's own generator."""
    unet = Unet(config)
    _start_at_zero(unet)
    _hear_embeddings(unet)
    if schedule.prediction == "epsilon":
        _start_as_identity(unet)
    return unet


def _start_at_zero(unet: Unet) -> None:
    """Let every residual branch, and the output, begin as nothing, as the original network does."""
    for name, parameter in unet.named_parameters():
        if ".conv2." in name or ".proj_out." in name or name.startswith("conv_out."):
            nn.init.zeros_(parameter)


@torch.no_grad()
def _hear_embeddings(unet: Unet) -> None:
    """Let E begin with components of one, on average, as other inputs have.

    Of a unit vector of D numbers they are 1/√D. Beside the step's, which are of order one, they
    would be a whisper that takes thousands of steps to be heard.
    """
    unet.class_embedding.weight *= unet.config.embedding_dim**0.5


@torch.no_grad()
def _start_as_identity(unet: Unet) -> None:
    """Let a network that predicts noise begin as ε̂ = z_n, nearly right where there is much noise.

    The first convolution copies z to two stretches of channels, as z and as -z, which the last skip
    carries to the end; there SiLU(z) - SiLU(-z) = z. Finding this alone takes a small network a
    thousand steps, in which its samples are noise: at n = 999 an error in ε̂ is 84-fold in ẑ_0.
    """
    C, m = unet.config.latent_channels, unet.config.block_channels[0]
    if m < 2 * C:
        return  # too narrow to carry both copies
    both = torch.cat([torch.eye(C), -torch.eye(C)])  # (2C, C)
    shortcut: nn.Conv2d = unet.up_blocks[-1].resnets[-1].conv_shortcut  # type: ignore[index, union-attr]
    for conv in (unet.conv_in, shortcut):
        conv.weight[: 2 * C] = 0
        conv.bias[: 2 * C] = 0  # type: ignore[index]
    unet.conv_in.weight[: 2 * C, :, 1, 1] = both
    # The shortcut's input is the up path's m channels, then those of the first convolution.
    shortcut.weight[: 2 * C, m : m + 2 * C, 0, 0] = torch.eye(2 * C)
    unet.conv_out.weight[:, : 2 * C, 1, 1] = both.T
