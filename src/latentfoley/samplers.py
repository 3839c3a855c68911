"""Noise → latent: one step function per sampler, and the one loop that runs them all.

    plan = make_plan("dpm++", Schedule(), steps=25)
    z_0 = sample(denoiser, z_N, plan, noise)

A step goes from the level `here` (n) down to the level `there` (s) and is one equation in the
predictions ε̂ and ẑ_0. Every sampler keeps the latent in the variance-preserving form of
`diffusion.py`, starts from the same unit-variance z_N, and may be paired with every spacing.

This file does not know prompts, guidance or masks: those wrap the denoiser, or act in `after_step`.
Nor does it own randomness: `noise` is handed in, so that the pipeline can keep one generator per
clip. Reading path: `diffusion.py` comes before, `unet.py` is what the denoiser usually is.
"""

import math
import re
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor

from latentfoley.diffusion import CLEAN, Denoiser, Level, Schedule, predict_z0
from latentfoley.errors import InputError, nearest
from latentfoley.notation import Latent

Noise = Callable[[], Latent]
"""Returns a fresh standard normal in the latent's shape, dtype and device."""

KARRAS_RHO = 7.0  # Karras et al. 2022, table 1: more of the steps at low noise


@dataclass(frozen=True, eq=False)
class Step:
    """All that a step function may use.

    Attributes:
        z: latent at `here`.
        eps: the denoiser's noise prediction ε̂ at `here`.
        z_0: the clean latent that `eps` implies.
        here: level n of `z`.
        there: level s to reach, less noisy.
        denoise: (z, level) → ε̂, for samplers that look a second time.
        noise: fresh standard normals, for samplers that add noise.
        eta: share of DDPM's noise that DDIM adds, 0 … 1.
        history: (level, ẑ_0) of earlier steps, latest last, as many as the sampler remembers.
    """

    z: Latent
    eps: Latent
    z_0: Latent
    here: Level
    there: Level
    denoise: Callable[[Latent, Level], Latent]
    noise: Noise
    eta: float
    history: tuple[tuple[Level, Latent], ...]

    @property
    def h(self) -> float:
        """Step size λ_s − λ_n > 0; infinite when `there` is clean."""
        return self.there.lam - self.here.lam


def ddpm(step: Step) -> Latent:
    """Draw z_s from the posterior q(z_s | z_n, ẑ_0).            [Ho et al. 2020, eq. 6 and 7]

    z_s = α_s (1 − a²)/σ_n² · ẑ_0 + a σ_s²/σ_n² · z_n + σ̃ ε,   a = α_n / α_s
    """
    here, there = step.here, step.there
    a = here.alpha / there.alpha
    mean = (
        there.alpha * (1 - a**2) / here.sigma**2 * step.z_0
        + a * (there.sigma / here.sigma) ** 2 * step.z
    )
    return mean + _posterior_std(here, there) * step.noise() if there.sigma > 0 else mean


def ddim(step: Step) -> Latent:
    """Step along the implied direction, with η of DDPM's noise.  [Song et al. 2021, eq. 12, 16]

    z_s = α_s ẑ_0 + √(σ_s² − η²σ̃²) ε̂ + η σ̃ ε
    """
    std = step.eta * _posterior_std(step.here, step.there)
    # σ̃ never exceeds σ_s, but their difference may round below zero.
    direction = math.sqrt(max(0.0, step.there.sigma**2 - std**2))
    z_s = step.there.alpha * step.z_0 + direction * step.eps
    return z_s + std * step.noise() if std > 0 else z_s


def dpm_solver(step: Step) -> Latent:
    """DPM-Solver++ (2M): the exact linear part, and ẑ_0 extrapolated half a step.

    z_s = σ_s/σ_n z_n + α_s (1 − e⁻ʰ) D                  [Lu et al. 2022, DPM-Solver++, alg. 2]
    """
    shrink = step.there.sigma / step.here.sigma
    return shrink * step.z - step.there.alpha * math.expm1(-step.h) * _extrapolated_z0(step)


def dpm_solver_sde(step: Step) -> Latent:
    """SDE-DPM-Solver++ (2M): the same for the reverse SDE, where fresh noise hides old errors.

    z_s = σ_s/σ_n e⁻ʰ z_n + α_s (1 − e⁻²ʰ) D + σ_s √(1 − e⁻²ʰ) ε              [Lu et al. 2022]
    """
    there, renewed = step.there, -math.expm1(-2 * step.h)
    shrink = there.sigma / step.here.sigma * math.exp(-step.h)
    mean = shrink * step.z + there.alpha * renewed * _extrapolated_z0(step)
    return mean + there.sigma * math.sqrt(renewed) * step.noise() if there.sigma > 0 else mean


def unipc(step: Step) -> Latent:
    """UniPC of order 2 with B₂(h) = eʰ − 1: correct z_n by the new ẑ_0, then predict z_s.

    In data prediction UniP-2 with a₁ = 1/2 is the step of DPM-Solver++ (2M), so the predictor is
    that. The corrector costs no network call: it reuses ẑ_0 as predicted before the correction.
                                                                     [Zhao et al. 2023, UniPC]
    """
    return dpm_solver(replace(step, z=step.z + _unic_correction(step)))


def euler(step: Step) -> Latent:
    """Euler's method for dx/dσ̃ = ε̂, where x = z/α and σ̃ = σ/α.    [Karras et al. 2022, eq. 1]

    z_s = α_s (z_n/α_n + (σ̃_s − σ̃_n) ε̂), which is DDIM at η = 0.
    """
    here, there = step.here, step.there
    d_sigma = there.sigma / there.alpha - here.sigma / here.alpha
    return there.alpha * (step.z / here.alpha + d_sigma * step.eps)


def heun(step: Step) -> Latent:
    """Heun's method: Euler, a second look at where it leads, and their average.

    Two network calls in every step but the last, where σ̃ = 0.    [Karras et al. 2022, alg. 1]
    """
    z_s = euler(step)
    if step.there.sigma == 0:
        return z_s
    eps_s = step.denoise(z_s, step.there)
    return euler(replace(step, eps=(step.eps + eps_s) / 2))


def _posterior_std(here: Level, there: Level) -> float:
    """Return σ̃ = σ_s/σ_n √(1 − α_n²/α_s²), the spread of q(z_s | z_n, z_0).  [DDPM eq. 7]"""
    return there.sigma / here.sigma * math.sqrt(1 - (here.alpha / there.alpha) ** 2)


def _extrapolated_z0(step: Step) -> Latent:
    """Return D = ẑ_0 + (ẑ_0 − ẑ_0′)/(2r) with r = h′/h, where ′ marks the step before.

    First order, D = ẑ_0, in the first step and in the one to the clean latent, where h is infinite.
    """
    if not step.history or step.there.sigma == 0:
        return step.z_0
    before, z_0_before = step.history[-1]
    r = (step.here.lam - before.lam) / step.h
    return step.z_0 + (step.z_0 - z_0_before) / (2 * r)


def _unic_correction(step: Step) -> Tensor | float:
    """Return UniC minus UniP for the step that led `here`, from the ẑ_0 now known here.

    With m_n = ẑ_0 here, m one step before and m′ two steps before, h and r h their distances in λ:

        α_n (1 − e⁻ʰ) [c (m_n − m) + (c′ − 1/2) (m′ − m)/r],   c + c′ = b₁,   c + r c′ = b₂

    and α_n (1 − e⁻ʰ) (m_n − m)/2 where the step before was the first. As a difference it needs no
    earlier z, so that what `after_step` did to z is kept.
    """
    if not step.history:
        return 0.0
    before, m = step.history[-1]
    h = step.here.lam - before.lam
    gain = -step.here.alpha * math.expm1(-h)
    if len(step.history) == 1:
        return gain / 2 * (step.z_0 - m)
    before_that, m_earlier = step.history[-2]
    r = (before_that.lam - before.lam) / h  # negative: it lies behind
    b_1 = -1 / math.expm1(-h) - 1 / h
    b_2 = -1 / math.expm1(-h) - 2 * b_1 / h
    c_earlier = (b_1 - b_2) / (1 - r)
    c = b_1 - c_earlier
    return gain * (c * (step.z_0 - m) + (c_earlier - 0.5) / r * (m_earlier - m))


def uniform(steps: int, schedule: Schedule) -> tuple[float, ...]:
    """Return ⌊k N/S⌋ + 1 for k = S - 1 … 0: the spacing of the released DDIM.

    It starts one stride below the highest level, at 901 for 10 steps. The released code takes
    ⌊N/S⌋ for the stride, which runs 31 steps when asked for 30 and past the table at 300 or 1000;
    this is the same where S divides N = 1000, and S steps always. At S = N there is no room for +1.
    """
    N = schedule.n_train_steps
    return tuple(float(k * N // steps + (steps < N)) for k in reversed(range(steps)))


def trailing(steps: int, schedule: Schedule) -> tuple[float, ...]:
    """Return round(k N/S) - 1 for k = S … 1, from the highest level.  [Lin et al. 2024, table 2]"""
    N = schedule.n_train_steps
    return tuple(float(round(k * N / steps) - 1) for k in range(steps, 0, -1))


def karras(steps: int, schedule: Schedule) -> tuple[float, ...]:
    """Return steps equally spaced in (σ/α)^(1/ρ), from the highest level to the lowest.

    They are fractions: the embedding of n is continuous.            [Karras et al. 2022, eq. 5]

    Why it is the default where the last step goes to clean: that step returns a mean and so wipes
    out all detail finer than the noise before it. At 25 steps `trailing` takes it from n = 39 and
    DPM-Solver++ keeps 36 % of a component of deviation 0.1 (exact Gaussians); `karras` keeps 93 %.
    """
    high = math.exp(-schedule.lambdas[-1] / KARRAS_RHO)
    low = math.exp(-schedule.lambdas[0] / KARRAS_RHO)
    roots = (high + i / max(steps - 1, 1) * (low - high) for i in range(steps))
    return tuple(schedule.timestep(-KARRAS_RHO * math.log(root)) for root in roots)


Spacing = Callable[[int, Schedule], tuple[float, ...]]
SPACINGS: Mapping[str, Spacing] = {"uniform": uniform, "trailing": trailing, "karras": karras}


@dataclass(frozen=True)
class Sampler:
    """A step function and what the loop must know of it.

    Attributes:
        step: the step function.
        about: one line for people who choose.
        spacing: name of the default spacing.
        memory: how many earlier (level, ẑ_0) the step uses.
        takes_eta: whether η means anything to it.
        ends_clean: whether the last step goes to σ = 0, or only to n = 0.
    """

    step: Callable[[Step], Latent]
    about: str
    spacing: str = "karras"
    memory: int = 0
    takes_eta: bool = False
    ends_clean: bool = True


SAMPLERS: Mapping[str, Sampler] = {
    "ddim": Sampler(
        ddim,
        "first order, AudioLDM's own: deterministic at eta 0, random above",
        spacing="uniform",
        takes_eta=True,
        ends_clean=False,  # diffusers: set_alpha_to_one = false
    ),
    "ddpm": Sampler(ddpm, "first order, random: ancestral sampling", spacing="uniform"),
    "dpm++": Sampler(dpm_solver, "second order, deterministic", memory=1),
    "dpm++sde": Sampler(dpm_solver_sde, "second order, random", memory=1),
    "unipc": Sampler(unipc, "second order, deterministic, with a corrector", memory=2),
    "euler": Sampler(euler, "first order, deterministic"),
    "heun": Sampler(heun, "second order, deterministic; two network calls in a step"),
}


def sampler_meant(name: str) -> str | None:
    """Return the sampler that other programs call by a name, None where there is none of ours.

    Example:
        >>> sampler_meant("DPM++ 2M SDE"), sampler_meant("k_euler"), sampler_meant("plms")
        ('dpm++sde', 'euler', None)
    """
    plain = re.sub(r"[^a-z]", "", name.lower())
    if "dpm" in plain and "ddpm" not in plain:
        return "dpm++sde" if "sde" in plain else "dpm++"
    return next(
        (ours for ours in ("unipc", "euler", "heun", "ddim", "ddpm") if ours in plain), None
    )


@dataclass(frozen=True)
class Plan:
    """What to run: a sampler and the steps at which it calls the denoiser.

    A plan is data: build one by `make_plan`, or with timesteps of your own. To enter at a lower
    level, give it the later timesteps only and start `sample` from
    `add_noise(z_0, eps, plan.timesteps[0], schedule)` of that plan.

    Args:
        sampler: a name in `SAMPLERS`.
        schedule: the noise schedule the denoiser was trained with.
        timesteps: strictly decreasing steps in 0 … N - 1, fractions allowed. With euler and an
            `end` above them they may rise instead, from -1 (clean) on: the same equation traces a
            sound back to the noise it would come from (DDIM inversion).
        eta: DDIM's η in [0, 1]; 0 for every other sampler.
        end: where the last step arrives; None is clean, or n = 0 for samplers that end there.

    Raises:
        InputError: an unknown sampler, or a value outside these ranges.
    """

    sampler: str
    schedule: Schedule
    timesteps: tuple[float, ...]
    eta: float = 0.0
    end: float | None = None

    def __post_init__(self) -> None:
        _check_name("sampler", self.sampler, SAMPLERS)
        if not 0 <= self.eta <= 1:
            raise InputError(f"eta must lie in 0 … 1, got {self.eta}")
        if self.eta > 0 and not SAMPLERS[self.sampler].takes_eta:
            raise InputError(f"eta is a setting of ddim; {self.sampler!r} got eta={self.eta}")
        last = self.schedule.n_train_steps - 1
        hops = list(pairwise(self.timesteps if self.end is None else (*self.timesteps, self.end)))
        rises = self.sampler == "euler" and self.end is not None and all(n < s for n, s in hops)
        low = CLEAN if rises else 0.0
        inside = bool(self.timesteps) and all(low <= n <= last for n in self.timesteps)
        if not inside or not (rises or all(n > s for n, s in hops)):
            raise InputError(
                f"timesteps must decrease strictly within {last} … 0 and not be empty, "
                f"got {self.timesteps}"
            )

    @property
    def levels(self) -> tuple[Level, ...]:
        """The level of each timestep, and the one where the last step ends."""
        # Where the last call is at n = 0 already, a step to n = 0 would waste it.
        ends_clean = SAMPLERS[self.sampler].ends_clean or self.timesteps[-1] == 0
        end = self.end if self.end is not None else CLEAN if ends_clean else 0.0
        return tuple(self.schedule.level(n) for n in (*self.timesteps, end))


def make_plan(
    sampler: str, schedule: Schedule, steps: int, *, spacing: str | None = None, eta: float = 0.0
) -> Plan:
    """Return the plan of exactly `steps` steps.

    Args:
        sampler: a name in `SAMPLERS`.
        schedule: the noise schedule the denoiser was trained with.
        steps: number of steps, 1 … N (1000).
        spacing: a name in `SPACINGS`; None takes the sampler's own, "uniform" for DDIM and DDPM
            and "karras" for the others.
        eta: DDIM's η in [0, 1].

    Raises:
        InputError: an unknown name, or a value outside these ranges.

    Example:
        >>> make_plan("ddim", Schedule(), steps=4).timesteps
        (751.0, 501.0, 251.0, 1.0)
    """
    _check_name("sampler", sampler, SAMPLERS)
    spacing = SAMPLERS[sampler].spacing if spacing is None else spacing
    _check_name("spacing", spacing, SPACINGS)
    most = schedule.n_train_steps
    if not 1 <= steps <= most:
        raise InputError(f"steps must lie in 1 … {most}, got {steps}")
    return Plan(sampler, schedule, SPACINGS[spacing](steps, schedule), eta)


@torch.no_grad()
def sample(
    denoiser: Denoiser,
    z_N: Latent,
    plan: Plan,
    noise: Noise | None = None,
    *,
    after_step: Callable[[Latent, float], Latent] | None = None,
    callback: Callable[[int, int, Latent], None] | None = None,
) -> Latent:
    """Return z_0, the end of sampling from z_N; same shape, dtype and device.

    Args:
        denoiser: (z_n, n) → ε̂, `n` holding the step of each clip in float32. Guidance, inpainting
            and joint windows wrap it.
        z_N: standard normal, or a latent noised to the level `plan.timesteps[0]`. Best in float32
            even where the network is not: ẑ_0 divides by α, which is 0.012 at n = 999.
        plan: sampler, timesteps and η.
        noise: source of fresh standard normals; samplers that add no noise never call it.
        after_step: (z, n) → z, applied to what each step returns; n is the step reached, -1 when
            clean. Editing can put back what it wants to keep.
        callback: called as (steps done, steps in all, z) after each step, for progress bars.

    Raises:
        InputError: the sampler adds noise and `noise` is None, or z_N is not finite.
    """
    if not torch.isfinite(z_N).all():
        raise InputError("the starting latent holds NaN or infinity")
    sampler = SAMPLERS[plan.sampler]
    # bf16 cannot tell step 998 from 999, so n never follows z below float32.
    n_dtype = torch.promote_types(z_N.dtype, torch.float32)

    def denoise(z: Latent, level: Level) -> Latent:
        return denoiser(z, torch.full((len(z),), level.n, dtype=n_dtype, device=z.device))

    z, history = z_N, deque[tuple[Level, Latent]](maxlen=sampler.memory)
    for done, (here, there) in enumerate(pairwise(plan.levels), start=1):
        eps = denoise(z, here)
        z_0 = predict_z0(z, eps, here.n, plan.schedule)
        z = sampler.step(
            Step(z, eps, z_0, here, there, denoise, noise or _no_noise, plan.eta, tuple(history))
        )
        history.append((here, z_0))
        if after_step is not None:
            z = after_step(z, there.n)
        if callback is not None:
            callback(done, len(plan.timesteps), z)
    return z


def _no_noise() -> Latent:
    raise InputError("this sampler adds noise in its steps: give `sample` a source of it")


def _check_name(kind: str, name: str, table: Mapping[str, object]) -> None:
    if name not in table:
        raise InputError(f"unknown {kind} {name!r}; {nearest(name, table)}")
