"""The linear autoencoder that a VAE of patches begins as: principal components of patches.

    z_k = b_k · (x - m) / √s_k,   x̂ = m + Σ √s_k b_k z_k

x is a patch of r x r log-mel values, b_k its principal components, s_k their standard deviations,
k below the latent's channels: what a linear VAE learns at best (Lucas et al. 2019). Divided by √s_k
and not by s_k, coarse components stay louder than fine ones, so that noise covers the fine first.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from latentfoley.notation import LogMel
from latentfoley.vae import Vae

_LOGVAR = -4.6  # of the posterior at first: a standard deviation of 0.1


@torch.no_grad()
def begin_as_principal_components(vae: Vae, log_mels: LogMel) -> None:
    """Set the shortcuts of a VAE of patches, and let the networks beside them add nothing yet.

    Args:
        vae: of patches; changed in place.
        log_mels: crops to take the components from.
    """
    if vae.encoder.shortcut is None or vae.decoder.shortcut is None:
        raise TypeError("this VAE has no shortcuts: its patch_size is 1")
    for layer in (vae.encoder.conv_out, vae.decoder.conv_out):
        layer.weight.zero_()
        _zero_bias(layer)
    for layer in (vae.quant_conv, vae.post_quant_conv):
        layer.weight.copy_(torch.eye(layer.in_channels)[:, :, None, None])
        _zero_bias(layer)
    mean, components, stds = principal_components(log_mels, vae.config.compression)
    n = vae.config.latent_channels
    scales = stds[:n].sqrt()
    encode = components[:n] / scales[:, None]
    vae.encoder.shortcut.weight.zero_()[:n, :, 0, 0] = encode
    bias = torch.cat([-encode @ mean, torch.full((n,), _LOGVAR)])
    vae.encoder.shortcut.bias = nn.Parameter(bias)
    vae.decoder.shortcut.weight[:, :, 0, 0] = (components[:n] * scales[:, None]).T
    vae.decoder.shortcut.bias = nn.Parameter(mean)


def principal_components(
    log_mels: LogMel, r: int
) -> tuple[Float[Tensor, "P"], Float[Tensor, "P P"], Float[Tensor, "P"]]:
    """Return the mean of all r x r patches (P = r² values), components, standard deviations."""
    patches = F.pixel_unshuffle(log_mels, r).movedim(1, 3).flatten(0, 2)  # (N, r²)
    mean = patches.mean(dim=0)
    variances, components = torch.linalg.eigh(torch.cov(patches.T))  # ascending
    return mean, components.T.flip(0), variances.flip(0).clamp(min=1e-8).sqrt()


def _zero_bias(layer: nn.Conv2d) -> None:
    if layer.bias is not None:
        layer.bias.zero_()
