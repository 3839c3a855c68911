"""Sounds of any length in bounded memory: two ways to apply a network window by window.

`in_chunks` is for functions that look only so far to either side: the mel front end, the vocoder,
Griffin-Lim. Each chunk is handed over with as much of its surroundings as the function can see,
which is cut off again: the result is that of the whole, wherever the chunks fall.

`in_windows` is for networks that look at everything there is, by attention and group statistics:
the UNet and the VAE. There the whole is not what one wants: they were trained on clips of ten
seconds. The windows are part of the definition: they lie on a grid that depends on the length
alone, and what two of them say about a moment is averaged. For the UNet that is MultiDiffusion
(Bar-Tal et al. 2023, eq. 3): all windows are denoised jointly, step by step. See
docs/decisions/0012-windows.md. Nothing here knows what the functions compute.
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float, Real
from torch import Tensor

from latentfoley.diffusion import Denoiser
from latentfoley.notation import Latent

WINDOW_S = 10.24  # of AudioLDM's training clips
OVERLAP = 4  # windows share a quarter of their length

CHUNK = 1024  # frames


def in_chunks(
    function: Callable[[Tensor], Tensor],
    x: Tensor,
    *,
    dims: tuple[int, int],
    units: tuple[int, int],
    reach: int,
    chunk: int | None = None,
) -> Tensor:
    """Return function(x), computed `chunk` frames at a time.

    Args:
        function: from x to its result; frame i of the result depends on frames i - reach …
            i + reach of x and on nothing else.
        x: the whole.
        dims: the dimension that is time, in x and in the result.
        units: elements to a frame in that dimension, in x and in the result.
        reach: in frames, ≥ 0.
        chunk: frames to a chunk, ≥ 1; None is 1024.
    """
    n_frames, chunk = x.shape[dims[0]] // units[0], chunk or CHUNK
    whole: Tensor | None = None
    for start in range(0, n_frames, chunk):
        stop = min(start + chunk, n_frames)
        first, last = max(0, start - reach), min(n_frames, stop + reach)
        part = function(x.narrow(dims[0], first * units[0], (last - first) * units[0]))
        part = part.narrow(dims[1], (start - first) * units[1], (stop - start) * units[1])
        if whole is None:  # room for all of it: a list of parts would be held twice at the end
            shape = [*part.shape]
            shape[dims[1]] = n_frames * units[1]
            whole = part.new_empty(shape)
        whole.narrow(dims[1], start * units[1], part.shape[dims[1]]).copy_(part)
    assert whole is not None
    return whole


def in_windows(
    function: Callable[[Tensor], Tensor], x: Tensor, *, window: int, units: tuple[int, int] = (1, 1)
) -> Tensor:
    """Return function(x) where x fits in a window, else the mean of what overlapping windows give.

    In the overlap of two windows one gives way to the other along half a cosine.

    Args:
        function: from (B, C, T, F) to (B, C', T', F').
        x: the whole.
        window: frames to a window, ≥ 4.
        units: elements to a frame in the third dimension, of x and of the result.
    """
    n_frames = x.shape[2] // units[0]
    if n_frames <= window:
        return function(x)
    total: Tensor | None = None
    weight = torch.zeros(n_frames * units[1], 1, device=x.device)
    for start in window_starts(n_frames, window):
        part = function(x[:, :, start * units[0] : (start + window) * units[0]])
        if total is None:
            total = part.new_zeros(*part.shape[:2], n_frames * units[1], part.shape[3])
        w = _profile(start, window, n_frames, units[1]).to(x.device)
        here = slice(start * units[1], (start + window) * units[1])
        total[:, :, here] += w.to(part) * part
        weight[here] += w
    assert total is not None
    total /= weight.to(total)
    return total


def jointly(denoiser: Denoiser, window: int) -> Denoiser:
    """Return the denoiser of latents of any length, through windows of `window` latent frames.

    ε̂ = Σ_i W_i ε̂_θ(F_i(z_n)) / Σ_i W_i with F_i the cut of window i.    [MultiDiffusion, eq. 5]
    """

    def eps_hat(z_n: Latent, n: Real[Tensor, "B"]) -> Latent:
        return in_windows(lambda z: denoiser(z, n), z_n, window=window)

    return eps_hat


def window_starts(n_frames: int, window: int) -> list[int]:
    """Return where windows begin; the last is moved back to end where the sound ends.

    Example:
        >>> window_starts(21, 8)
        [0, 6, 12, 13]
    """
    return [*range(0, n_frames - window, window - window // OVERLAP), n_frames - window]


def _profile(start: int, window: int, n_frames: int, unit: int) -> Float[Tensor, "T 1"]:
    """Return the weights of a window: they rise and fall in the overlaps, but not at the ends."""
    n_ramp = window // OVERLAP * unit
    ramp = 0.5 - 0.5 * torch.cos(math.pi * (torch.arange(n_ramp) + 0.5) / n_ramp)
    weights = torch.ones(window * unit)
    if start > 0:
        weights[:n_ramp] = ramp
    if start + window < n_frames:
        weights[-n_ramp:] *= ramp.flip(0)
    return weights[:, None]
