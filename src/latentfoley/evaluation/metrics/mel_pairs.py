"""PSNR and SSIM between log-mels of pairs, seen as pictures from -80 to +20 dB.

picture = clip( (20 log₁₀ mel + 80) / 100, 0, 1 )          [the range is that of audioldm_eval]
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float64
from torch import Tensor

from latentfoley.errors import InputError
from latentfoley.evaluation.metrics.score import Bootstrap, Score, mean_score

Picture = Float64[Tensor, "T F"]
MelPairs = Sequence[tuple[Float[Tensor, "T F"], Float[Tensor, "T F"]]]

PSNR_CEILING_DB = 100.0  # of a pair without a difference, whose PSNR is infinite
_DB_PER_NAT = 20 / np.log(10)
_RANGE_DB, _LOWEST_DB = 100.0, -80.0

# The constants of Wang et al. 2004 for pictures in [0, 1].
_WINDOW, _SIGMA = 11, 1.5
_C1, _C2 = 0.01**2, 0.03**2


def psnr_score(pairs: MelPairs, *, bootstrap: Bootstrap | None = None) -> Score:
    """Return the mean of 10 log₁₀ (1 / MSE) over (generated, reference) log-mels in nats.

    A pair without a difference counts as 100 dB, and is not left out.
    """
    return mean_score(
        "PSNR",
        np.array([psnr(*pictures(pair)) for pair in pairs]),
        better="higher",
        unit="dB",
        caveat=f"On mel pictures; identical pairs count as {PSNR_CEILING_DB:g} dB.",
        bootstrap=bootstrap,
    )


def ssim_score(pairs: MelPairs, *, bootstrap: Bootstrap | None = None) -> Score:
    """Return the mean structural similarity of log-mels in nats, from -1 to 1.

    Gaussian window of 11, σ = 1.5, range 1 [Wang et al. 2004], over windows that lie inside.
    """
    return mean_score(
        "SSIM",
        np.array([ssim(*pictures(pair)) for pair in pairs]),
        better="higher",
        caveat="On mel pictures; Gaussian window. scikit-image's default is a flat window of 7 "
        "and a range per pair: other numbers.",
        bootstrap=bootstrap,
    )


def ssim(made: Picture, real: Picture) -> float:
    """Return the structural similarity of two pictures in [0, 1]."""
    x, y = _blur(made), _blur(real)
    var_x, var_y = _blur(made * made) - x * x, _blur(real * real) - y * y
    cov = _blur(made * real) - x * y
    likeness = (2 * x * y + _C1) * (2 * cov + _C2)
    return float((likeness / ((x * x + y * y + _C1) * (var_x + var_y + _C2))).mean())


def psnr(made: Picture, real: Picture) -> float:
    """Return 10 log₁₀ (1 / MSE) of two pictures in [0, 1], at most 100 dB."""
    error = float((made - real).square().mean())
    return PSNR_CEILING_DB if error == 0 else min(PSNR_CEILING_DB, -10 * float(np.log10(error)))


def pictures(pair: tuple[Float[Tensor, "T F"], Float[Tensor, "T F"]]) -> tuple[Picture, Picture]:
    """Return two log-mels in nats as pictures in [0, 1]; the longer is cut.

    Raises:
        InputError: fewer than 11 frames, or unlike numbers of bands.
    """
    n_frames = min(len(pair[0]), len(pair[1]))
    if n_frames < _WINDOW or pair[0].shape[1:] != pair[1].shape[1:]:
        shapes = " and ".join(str(tuple(mel.shape)) for mel in pair)
        raise InputError(f"log-mels of {shapes}; allowed: {_WINDOW} frames or more, equal bands")
    made, real = (
        ((mel[:n_frames].double() * _DB_PER_NAT - _LOWEST_DB) / _RANGE_DB).clamp(0, 1)
        for mel in pair
    )
    return made, real


def _blur(picture: Picture) -> Picture:
    taps = torch.arange(_WINDOW, dtype=torch.float64) - _WINDOW // 2
    window = torch.exp(-taps.square() / (2 * _SIGMA**2))
    kernel = torch.outer(window, window) / window.sum().square()
    return F.conv2d(picture[None, None], kernel[None, None])[0, 0]
