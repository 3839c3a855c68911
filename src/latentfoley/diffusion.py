"""The diffusion process: schedule ᾱ_n, q(z_n | z_0), training loss, classifier-free guidance.

Everything here is a function of a noise level and a *denoiser*, which is any callable that predicts
the noise ε̂ in a latent. This file does not know what network that is, how the levels are walked
(`samplers.py`, next in the reading path), or where embeddings come from (`clap.py`).

A latent at step n is a mix of signal and noise that keeps the variance at one:

    z_n = α_n z_0 + σ_n ε,   α_n = √ᾱ_n,   σ_n = √(1 − ᾱ_n),   λ_n = log(α_n / σ_n)

Steps are 0 … 999, as in the released code; n = -1 is the clean latent, the empty product ᾱ = 1.
"""

import math
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Float64, Int, Real
from torch import Tensor

from latentfoley.errors import InputError
from latentfoley.notation import Embedding, Latent

Denoiser = Callable[[Latent, Real[Tensor, "B"]], Latent]
"""(z_n, n) → ε̂: what a sampler needs."""

ConditionalDenoiser = Callable[[Latent, Real[Tensor, "B"], Embedding], Latent]
"""(z_n, n, E) → ε̂: what is trained, the UNet."""

CLEAN = -1.0
"""The step of a latent without noise, one below the first."""


@dataclass(frozen=True)
class Level:
    """One noise level: z_n = alpha · z_0 + sigma · ε, with alpha² + sigma² = 1."""

    n: float
    alpha: float
    sigma: float

    @property
    def lam(self) -> float:
        """λ = log(α/σ), half the log signal-to-noise ratio; infinite when clean."""
        return math.log(self.alpha / self.sigma) if self.sigma > 0 else math.inf


@dataclass(frozen=True)
class Schedule:
    """The noise schedule, "scaled linear": β_n are squares of equally spaced numbers.

    β_n = (√beta_start + n/(N − 1) · (√beta_end − √beta_start))²,   ᾱ_n = ∏_{m ≤ n} (1 − β_m)

    The defaults are those of the released AudioLDM: ᾱ_0 = 0.9985, ᾱ_999 = 1.423e-4 (-38.5 dB).

    Args:
        beta_start: variance added by the first step, in (0, 1).
        beta_end: variance added by the last step, from `beta_start` up to 1.
        n_train_steps: number of steps N, at least 1.

    Raises:
        InputError: a value outside these ranges.
    """

    beta_start: float = 0.0015
    beta_end: float = 0.0195
    n_train_steps: int = 1000

    def __post_init__(self) -> None:
        if not 0 < self.beta_start <= self.beta_end < 1:
            raise InputError(
                f"betas must satisfy 0 < beta_start <= beta_end < 1, "
                f"got {self.beta_start} and {self.beta_end}"
            )
        if self.n_train_steps < 1:
            raise InputError(f"n_train_steps must be at least 1, got {self.n_train_steps}")

    @cached_property
    def alpha_bar(self) -> Float64[Tensor, "N"]:
        """ᾱ_n for every n, in float64 on the CPU: a float32 product is off by 1e-6 at the end."""
        ends = math.sqrt(self.beta_start), math.sqrt(self.beta_end)
        beta = torch.linspace(*ends, self.n_train_steps, dtype=torch.float64) ** 2
        return torch.cumprod(1 - beta, dim=0)

    @cached_property
    def lambdas(self) -> tuple[float, ...]:
        """λ_n for every n, strictly decreasing."""
        return tuple((torch.logit(self.alpha_bar) / 2).tolist())

    def level(self, n: float) -> Level:
        """Return the level of step `n`; fractions interpolate λ linearly.

        Raises:
            InputError: n is neither -1 (clean) nor in 0 … N - 1.

        Example:
            >>> round(Schedule().level(0).alpha ** 2, 4), Schedule().level(-1).sigma
            (0.9985, 0.0)
        """
        if n == CLEAN:
            return Level(CLEAN, 1.0, 0.0)
        last = self.n_train_steps - 1
        if not 0 <= n <= last:
            raise InputError(f"a diffusion step lies in 0 … {last}, or is -1 for clean; got {n}")
        below, above = self.lambdas[math.floor(n)], self.lambdas[math.ceil(n)]
        lam = below + (n - math.floor(n)) * (above - below)
        # α² = sigmoid(2λ) and σ² = sigmoid(-2λ): 1 − α² would lose digits near the clean end.
        return Level(float(n), (1 + math.exp(-2 * lam)) ** -0.5, (1 + math.exp(2 * lam)) ** -0.5)

    def timestep(self, lam: float) -> float:
        """Return the n, possibly fractional, whose λ is `lam`, clipped to 0 … N - 1.

        This is the inverse of `level(n).lam`, for spacings that are defined by noise level.
        """
        above = bisect_left(self.lambdas, -lam, key=lambda value: -value)
        if above == 0:
            return 0.0
        if above == self.n_train_steps:
            return float(self.n_train_steps - 1)
        lam_below, lam_above = self.lambdas[above - 1], self.lambdas[above]
        return above - 1 + (lam_below - lam) / (lam_below - lam_above)


def add_noise(z_0: Latent, eps: Latent, n: Int[Tensor, "B"] | float, schedule: Schedule) -> Latent:
    """Return a sample of q(z_n | z_0), the noisy latent of step n.

    z_n = √ᾱ_n z_0 + √(1 − ᾱ_n) ε                                  [DDPM, Ho et al. 2020, eq. 4]

    Args:
        z_0: clean scaled latent.
        eps: standard normal of the same shape.
        n: one step for each clip (integers), or one number for all (fractions and -1 allowed).
        schedule: the noise schedule.
    """
    alpha, sigma = _alpha_sigma(n, schedule, z_0)
    return alpha * z_0 + sigma * eps


def predict_z0(z_n: Latent, eps: Latent, n: Int[Tensor, "B"] | float, schedule: Schedule) -> Latent:
    """Return the clean latent that `eps` implies: ẑ_0 = (z_n − σ_n ε̂) / α_n.     [DDPM eq. 15]"""
    alpha, sigma = _alpha_sigma(n, schedule, z_n)
    return (z_n - sigma * eps) / alpha


def velocity(z_0: Latent, eps: Latent, n: Int[Tensor, "B"] | float, schedule: Schedule) -> Latent:
    """Return v = α_n ε − σ_n z_0, which is the noise at n = 0 and −z_0 at pure noise.

    A network that predicts v learns what a sound is like from the noisiest steps, where ε is
    nearly z_n itself and teaches little.                   [Salimans & Ho 2022, appendix D]
    """
    alpha, sigma = _alpha_sigma(n, schedule, z_0)
    return alpha * eps - sigma * z_0


def from_velocity(denoiser: ConditionalDenoiser, schedule: Schedule) -> ConditionalDenoiser:
    """Return ε_θ of a network that predicts v: ε̂ = α_n v̂ + σ_n z_n.

    The map is affine in v̂, so guidance may come before or after it.
    """

    def eps_hat(z_n: Latent, n: Real[Tensor, "B"], E: Embedding) -> Latent:
        alpha, sigma = _alpha_sigma(float(n[0]), schedule, z_n)
        return alpha * denoiser(z_n, n, E) + sigma * z_n

    return eps_hat


def in_precision(denoiser: ConditionalDenoiser, dtype: torch.dtype) -> ConditionalDenoiser:
    """Return a denoiser that computes in `dtype`, for a sampler that keeps its own precision."""

    def eps_hat(z_n: Latent, n: Real[Tensor, "B"], E: Embedding) -> Latent:
        return denoiser(z_n.to(dtype), n, E.to(dtype)).to(z_n.dtype)

    return eps_hat


def diffusion_loss(
    denoiser: ConditionalDenoiser,
    z_0: Latent,
    E: Embedding,
    n: Int[Tensor, "B"],
    eps: Latent,
    schedule: Schedule,
    *,
    target: Latent | None = None,
) -> Float[Tensor, "B"]:
    """Return ‖ε − ε_θ(z_n, n, E)‖² of each clip, as a mean over channels, frames and bins.

    One value for each clip, not their mean, so that a trainer can weight or sort by n.
                                                                             [DDPM eq. 14]

    Args:
        denoiser: ε_θ.
        z_0: clean scaled latents.
        E: embeddings; in AudioLDM of the *sound*, or of the empty prompt for one clip in ten.
        n: training steps, uniform over 0 … N - 1.
        eps: standard normal of z_0's shape.
        schedule: the noise schedule.
        target: what the network is to predict; None is ε.
    """
    z_n = add_noise(z_0, eps, n, schedule)
    wanted = eps if target is None else target
    return (wanted - denoiser(z_n, n, E)).square().mean(dim=(1, 2, 3))  # (B,)


def guide(eps_uncond: Latent, eps_cond: Latent, w: float) -> Latent:
    """Return ε̂ = ε_u + w (ε_c − ε_u): w = 0 ignores the prompt, 1 follows it, more insists.

    The w of the AudioLDM code, one more than that of Ho & Salimans 2022, eq. 6.
    """
    return eps_uncond + w * (eps_cond - eps_uncond)


def guided(
    denoiser: ConditionalDenoiser, E: Embedding, E_uncond: Float[Tensor, "#B D"], w: float
) -> Denoiser:
    """Return the guided denoiser (z_n, n) → ε̂ of the prompts `E`.

    Both predictions come from one call on a doubled batch [uncond, cond]. At w = 1 guidance is the
    conditional model itself, so only that is called, at half the cost.

    Args:
        denoiser: ε_θ.
        E: embedding of each clip's prompt.
        E_uncond: embedding of the empty or negative prompt: one for all clips, or one for each.
        w: guidance scale, any finite number; 2.5 is AudioLDM's.

    Raises:
        InputError: w is not finite.
    """
    if not math.isfinite(w):
        raise InputError(f"the guidance scale must be a finite number, got {w}")
    if w == 1:
        return lambda z_n, n: denoiser(z_n, n, E)
    E_both = torch.cat([E_uncond.expand_as(E), E])  # (2B, D)

    def eps_hat(z_n: Latent, n: Real[Tensor, "B"]) -> Latent:
        eps_both = denoiser(torch.cat([z_n, z_n]), torch.cat([n, n]), E_both)  # (2B, C, T, F)
        eps_uncond, eps_cond = eps_both.chunk(2)  # (B, C, T, F) each
        return guide(eps_uncond, eps_cond, w)

    return eps_hat


GUIDED_SIGMAS = (0.5, 15.0)  # measured with `tiny`: docs/experiments/fast.md


def guided_between(
    sigmas: tuple[float, float], schedule: Schedule, guided: Denoiser, plain: Denoiser
) -> Denoiser:
    """Return the guided denoiser at noise levels σ/α between two, the plain one at all others.

    Guidance narrows what comes out where there is much noise, and does little where there is hardly
    any (Kynkäänniemi et al. 2024, arXiv 2404.07724, eq. 4); without it a step is one call, not two.
    """
    low, high = sigmas

    def eps_hat(z_n: Latent, n: Real[Tensor, "B"]) -> Latent:
        level = schedule.level(float(n[0]))  # all clips of a batch are at the same
        inside = low < level.sigma / level.alpha <= high
        return (guided if inside else plain)(z_n, n)

    return eps_hat


def _alpha_sigma(
    n: Tensor | float, schedule: Schedule, like: Tensor
) -> tuple[Tensor, Tensor] | tuple[float, float]:
    """Return α_n and σ_n as factors of `like`: numbers, or one for each clip as (B, 1, 1, 1)."""
    if not isinstance(n, Tensor):
        level = schedule.level(n)
        return level.alpha, level.sigma
    alpha_bar = schedule.alpha_bar
    alpha = alpha_bar.sqrt().to(like)[n][:, None, None, None]  # (B, 1, 1, 1)
    sigma = (1 - alpha_bar).sqrt().to(like)[n][:, None, None, None]
    return alpha, sigma
