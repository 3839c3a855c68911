"""Samplers: laws on targets whose answer is known in closed form, then diffusers as oracle."""

import math
from dataclasses import replace
from functools import partial
from itertools import pairwise

import pytest
import torch

from denoisers import predict_eps
from latentfoley.diffusion import Schedule, add_noise, guided
from latentfoley.errors import InputError
from latentfoley.samplers import SAMPLERS, SPACINGS, Plan, Step, ddim, ddpm, make_plan, sample

SCHEDULE = Schedule()
MU, S = 0.7, 0.5  # the Gaussian target N(MU, S²)
ODE = ["ddim", "dpm++", "unipc", "euler", "heun"]
SDE = ["ddpm", "dpm++sde"]
SECOND_ORDER = ["dpm++", "unipc", "heun"]


def normal(seed, *shape, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*(shape or (2, 8, 6, 16)), generator=generator, dtype=dtype)


def noise_like(z, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return lambda: torch.randn(z.shape, generator=generator, dtype=z.dtype)


def gaussian(z_n, n):
    """The exact ε̂ for data N(MU, S²): σ (z − α MU) / Var z_n."""
    level = SCHEDULE.level(float(n[0]))
    return level.sigma * (z_n - level.alpha * MU) / spread(level) ** 2


def two_modes(z_n, n):
    """The exact ε̂ for data at ±1 with deviation 0.7: curved, unlike the Gaussian's."""
    level = SCHEDULE.level(float(n[0]))
    v = (0.7 * level.alpha) ** 2 + level.sigma**2
    return level.sigma / v * (z_n - level.alpha * torch.tanh(level.alpha * z_n / v))


def spread(level):
    """Deviation of z_n for the Gaussian target."""
    return math.hypot(S * level.alpha, level.sigma)


def gaussian_flow(z, here, there):
    """The exact solution of the probability-flow ODE for the Gaussian target."""
    return there.alpha * MU + spread(there) / spread(here) * (z - here.alpha * MU)


class Counter:
    """A denoiser that remembers the n of every call."""

    def __init__(self, denoiser=gaussian):
        self.denoiser, self.n = denoiser, []

    def __call__(self, z_n, n):
        self.n.append(float(n[0]))
        return self.denoiser(z_n, n)


# --- spacings and plans ----------------------------------------------------------------------


@pytest.mark.parametrize("spacing", SPACINGS)
def test_every_step_count_gives_exactly_that_many_falling_steps(spacing):
    stride = 37 if spacing == "karras" else 1  # a thousand searches a plan: test every 37th
    for steps in {*range(1, 1001, stride), 2, 3, 7, 300, 333, 500, 501, 999, 1000}:
        timesteps = SPACINGS[spacing](steps, SCHEDULE)
        assert len(timesteps) == steps
        assert timesteps[-1] >= 0 and timesteps[0] <= 999
        assert all(n > s for n, s in pairwise(timesteps))


def test_uniform_is_the_published_ddim_where_steps_divide_1000():
    for steps in [1, 2, 4, 5, 10, 20, 25, 40, 50, 100, 125, 200, 250, 500]:
        published = tuple(range(1, 1000, 1000 // steps))[::-1]
        assert make_plan("ddim", SCHEDULE, steps).timesteps == published


def test_uniform_covers_the_range_where_steps_do_not_divide_1000():
    """The floor stride of the released code would start 600 steps at n = 600, as pure noise."""
    assert SPACINGS["uniform"](600, SCHEDULE)[0] == 999
    assert SPACINGS["uniform"](300, SCHEDULE)[0] == 997


def test_trailing_starts_at_the_highest_level():
    assert SPACINGS["trailing"](10, SCHEDULE) == tuple(range(999, 0, -100))


def test_karras_is_uniform_in_the_seventh_root_of_sigma():
    levels = [SCHEDULE.level(n) for n in SPACINGS["karras"](9, SCHEDULE)]
    roots = torch.tensor([(level.sigma / level.alpha) ** (1 / 7) for level in levels])
    torch.testing.assert_close(roots.diff(), roots.diff()[:1].expand(8), rtol=1e-5, atol=0)
    assert (levels[0].n, levels[-1].n) == (999, 0)


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 300, 1000])
@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_denoiser_is_called_once_at_every_step(sampler, spacing, steps):
    z_N, denoiser, done = normal(0, 1, 1, 1, 2), Counter(), []
    plan = make_plan(sampler, SCHEDULE, steps, spacing=spacing)
    z_0 = sample(denoiser, z_N, plan, noise_like(z_N), callback=lambda i, n, z: done.append((i, n)))
    assert torch.isfinite(z_0).all()
    assert done == [(i, steps) for i in range(1, steps + 1)]
    if sampler == "heun":  # and once more where each step but the last arrives
        assert denoiser.n[::2] == pytest.approx(plan.timesteps)
        assert denoiser.n[1::2] == pytest.approx(plan.timesteps[1:])
    else:
        assert denoiser.n == pytest.approx(plan.timesteps)


def test_only_ddim_ends_one_step_above_clean():
    ends = {name: make_plan(name, SCHEDULE, 10).levels[-1].n for name in SAMPLERS}
    assert ends.pop("ddim") == 0
    assert set(ends.values()) == {-1}
    # Its thousandth call is at n = 0 already: stopping there again would waste it.
    assert make_plan("ddim", SCHEDULE, 1000).levels[-1].n == -1


def test_defaults_are_sensible():
    assert make_plan("ddim", SCHEDULE, 10).timesteps[0] == 901
    for name in set(SAMPLERS) - {"ddim", "ddpm"}:
        timesteps = make_plan(name, SCHEDULE, 10).timesteps
        assert (timesteps[0], timesteps[-1]) == (999, 0)


# --- laws on the Gaussian target -------------------------------------------------------------


@pytest.mark.parametrize("sampler", ODE)
def test_ode_samplers_follow_the_exact_flow(sampler):
    """At 200 steps, first order to 2 %; second order to 0.4 %, and that is the last step alone.

    From n = 0 to clean it returns the mean of what is left, and loses σ_0² / 2 S² = 0.3 %.
    """
    z_N = normal(0)
    plan = make_plan(sampler, SCHEDULE, 200)
    expected = gaussian_flow(z_N, plan.levels[0], plan.levels[-1])
    error = (sample(gaussian, z_N, plan) - expected).abs().max().item()
    assert error < S * (0.004 if sampler in SECOND_ORDER else 0.02) * z_N.abs().max().item()


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_reaches_the_mean_and_variance_of_the_target(sampler):
    """From N(0, 1) instead of q(z_999): α_999 MU = 0.008 is all that start misses."""
    z_N = normal(0, 4, 8, 32, 16)
    plan = make_plan(sampler, SCHEDULE, 500, spacing="trailing")
    z_0 = sample(gaussian, z_N, plan, noise_like(z_N))
    # Four standard errors over M = 16,384 samples, plus the missed start and 1 % of step size.
    standard_error = 1 / math.sqrt(z_N.numel())
    assert z_0.mean().item() == pytest.approx(MU, abs=4 * S * standard_error + 0.005 + 0.005)
    assert z_0.std().item() == pytest.approx(S, rel=4 * standard_error / math.sqrt(2) + 0.01)


@pytest.mark.parametrize("sampler", ["dpm++", "unipc", "heun"])
def test_default_spacing_keeps_fine_detail(sampler):
    """25 steps on Gaussians of deviation 0.1, 0.2, 0.4, 0.8: all survive, unlike when trailing."""
    deviation = torch.tensor([0.1, 0.2, 0.4, 0.8], dtype=torch.float64)

    def denoiser(z_n, n):
        level = SCHEDULE.level(float(n[0]))
        return level.sigma * z_n / ((deviation * level.alpha) ** 2 + level.sigma**2)

    def kept(spacing):
        plan = make_plan(sampler, SCHEDULE, 25, spacing=spacing)
        z_N = torch.ones(1, 1, 1, 4, dtype=torch.float64)
        return (sample(denoiser, z_N, plan) / deviation).flatten()

    assert (kept(None) - 1).abs().max() < 0.08
    assert kept("trailing")[0] < 0.5


@pytest.mark.parametrize("eta", [0.3, 1.0])
def test_ddim_with_noise_reaches_the_target_too(eta):
    z_N = normal(0, 4, 8, 32, 16)
    z_0 = sample(gaussian, z_N, make_plan("ddim", SCHEDULE, 500, eta=eta), noise_like(z_N))
    assert z_0.mean().item() == pytest.approx(MU, abs=0.03)
    assert z_0.std().item() == pytest.approx(S, rel=0.03)


def error_at_step_zero(sampler, steps):
    """Error of `steps` steps equal in λ from n = 999 to n = 0, against the exact flow.

    The step from n = 0 to clean is left out: it is of first order for every sampler.
    """
    high, low = SCHEDULE.lambdas[-1], SCHEDULE.lambdas[0]
    lambdas = torch.linspace(high, low, steps + 1, dtype=torch.float64).tolist()
    plan = Plan(sampler, SCHEDULE, tuple(SCHEDULE.timestep(lam) for lam in lambdas))
    z_N, reached = normal(0), {}
    sample(gaussian, z_N, plan, after_step=lambda z, n: reached.setdefault(n, z))
    expected = gaussian_flow(z_N, SCHEDULE.level(999.0), SCHEDULE.level(0.0))
    return (reached[0.0] - expected).abs().max().item()


@pytest.mark.parametrize("sampler", ODE)
def test_order_of_convergence(sampler):
    """Twice the steps divide the error by 2 at first order and by 4 at second."""
    ratio = error_at_step_zero(sampler, 80) / error_at_step_zero(sampler, 160)
    low, high = (3.3, 9) if sampler in SECOND_ORDER else (1.7, 2.3)
    assert low < ratio < high


@pytest.mark.parametrize("sampler", SECOND_ORDER)
def test_second_order_beats_first_order_at_equal_steps(sampler):
    for steps in [20, 50]:
        assert error_at_step_zero(sampler, steps) < error_at_step_zero("ddim", steps) / 3


def test_the_corrector_of_unipc_pays():
    assert error_at_step_zero("unipc", 20) < error_at_step_zero("dpm++", 20)


# --- laws between samplers -------------------------------------------------------------------


@pytest.mark.parametrize("value", [0.0, 1.0])
@pytest.mark.parametrize(("n", "s"), [(999.0, 900.0), (901.0, 801.0), (101.0, 1.0), (1.0, 0.0)])
def test_ddim_at_eta_one_is_the_posterior_of_ddpm(n, s, value):
    """Equal where the noise is 0 (the mean) and where it is 1 (the deviation)."""
    here, there = SCHEDULE.level(n), SCHEDULE.level(s)
    z_0, z = normal(0), normal(1)
    eps = predict_eps(z, z_0, n, SCHEDULE)
    noise = partial(torch.full_like, z, value)
    step = Step(z, eps, z_0, here, there, lambda z, level: z, noise, 1.0, ())
    torch.testing.assert_close(ddim(step), ddpm(step), rtol=1e-10, atol=1e-10)


def test_euler_is_ddim_without_noise():
    z_N = normal(0)
    plans = [Plan(name, SCHEDULE, (999.0, 500.5, 20.0, 0.0)) for name in ("euler", "ddim")]
    first, second = (sample(two_modes, z_N, plan) for plan in plans)
    torch.testing.assert_close(first, second, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_one_step_to_clean_is_the_predicted_latent(sampler):
    """So the last step of every sampler lands on ẑ_0, whatever came before."""
    z, predicted = normal(0), normal(1)
    plan = Plan(sampler, SCHEDULE, (0.0,))
    z_0 = sample(lambda z_n, n: predict_eps(z_n, predicted, 0.0, SCHEDULE), z, plan, noise_like(z))
    torch.testing.assert_close(z_0, predicted, rtol=1e-9, atol=1e-9)


# --- laws of the loop ------------------------------------------------------------------------


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_same_noise_same_latent(sampler):
    z_N, plan = normal(0), make_plan(sampler, SCHEDULE, 12)
    first, second = (sample(two_modes, z_N, plan, noise_like(z_N)) for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_clip_is_the_same_alone_and_in_a_batch(sampler):
    plan = make_plan(sampler, SCHEDULE, 12)
    clips = [normal(seed, 1, 8, 6, 16) for seed in range(3)]
    sources = [noise_like(clip, seed) for seed, clip in enumerate(clips)]
    batch = sample(two_modes, torch.cat(clips), plan, lambda: torch.cat([s() for s in sources]))
    for seed, clip in enumerate(clips):
        alone = sample(two_modes, clip, plan, noise_like(clip, seed))
        torch.testing.assert_close(batch[seed : seed + 1], alone, rtol=0, atol=1e-12)


@pytest.mark.parametrize("sampler", ODE)
def test_deterministic_samplers_never_ask_for_noise(sampler):
    def refuse():
        raise AssertionError("asked for noise")

    sample(two_modes, normal(0), make_plan(sampler, SCHEDULE, 5), refuse)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dtype_is_kept_and_n_is_never_half(sampler, dtype):
    z_N = normal(0, dtype=dtype)

    def denoiser(z_n, n):
        assert z_n.dtype == dtype and n.dtype == torch.float32 and n.shape == (2,)
        return two_modes(z_n, n)

    assert sample(denoiser, z_N, make_plan(sampler, SCHEDULE, 4), noise_like(z_N)).dtype == dtype


def test_sampling_builds_no_graph():
    z_N = normal(0).requires_grad_()
    assert not sample(two_modes, z_N, make_plan("dpm++", SCHEDULE, 3)).requires_grad


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_tail_of_the_plan_denoises_from_an_intermediate_level(sampler):
    plan = make_plan(sampler, SCHEDULE, 200)
    tail = replace(plan, timesteps=tuple(n for n in plan.timesteps if n < 15))
    z_0 = MU + S * normal(0, 4, 8, 32, 16)
    z_n = add_noise(z_0, normal(1, 4, 8, 32, 16), tail.timesteps[0], SCHEDULE)
    out = sample(gaussian, z_n, tail, noise_like(z_n))
    # Little noise was added, so each sample stays near its own start: transfer keeps its source.
    assert torch.corrcoef(torch.stack([z_0.flatten(), out.flatten()]))[0, 1] > 0.85
    assert out.std().item() == pytest.approx(S, rel=0.06)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_after_step_can_hold_a_region(sampler):
    """Inpainting in one hook: at every level put back the known region, noised to that level."""
    known, z_N = torch.ones(2, 8, 6, 16, dtype=torch.float64), normal(0)
    keep = torch.zeros_like(known, dtype=torch.bool)
    keep[..., :8] = True
    reached = []

    def hold(z, n):
        reached.append(n)
        return torch.where(keep, add_noise(known, z_N, n, SCHEDULE), z)

    plan = Plan(sampler, SCHEDULE, (999.0, 600.0, 300.0, 0.0))
    z_0 = sample(two_modes, z_N, plan, noise_like(z_N), after_step=hold)
    assert reached == [600, 300, 0, -1]
    assert torch.equal(z_0[keep], known[keep])
    assert not torch.equal(z_0[~keep], known[~keep])


def test_the_corrector_of_unipc_keeps_what_after_step_did():
    """It adds to z rather than recomputing it: a shift of z by d moves the outcome, d not lost."""
    z_N, plan = normal(0), Plan("unipc", SCHEDULE, (999.0, 600.0, 300.0))
    zero_z0 = lambda z_n, n: predict_eps(z_n, torch.zeros_like(z_n), float(n[0]), SCHEDULE)  # noqa: E731
    seen = []

    def shift(z, n):
        seen.append(z)
        return z + 1 if n == 600 else z

    sample(zero_z0, z_N, plan, after_step=shift)
    # With ẑ_0 = 0 throughout, z only shrinks by σ_s/σ_n, and so must the shift.
    shrink = SCHEDULE.level(300.0).sigma / SCHEDULE.level(600.0).sigma
    torch.testing.assert_close(seen[1], shrink * (seen[0] + 1), rtol=1e-9, atol=1e-9)


def test_guidance_wraps_the_denoiser():
    """A prompt that moves the mean of the Gaussian: w moves it w times as far."""

    def conditional(z_n, n, E):
        level = SCHEDULE.level(float(n[0]))
        mean = E.mean(dim=1)[:, None, None, None]
        return level.sigma * (z_n - level.alpha * mean) / spread(level) ** 2

    z_N, one = normal(0), torch.ones(2, 4, dtype=torch.float64)
    plan = make_plan("dpm++", SCHEDULE, 50)
    z_0 = [sample(guided(conditional, one, 0 * one, w), z_N, plan) for w in (0.0, 1.0, 3.0)]
    torch.testing.assert_close(z_0[2] - z_0[0], 3 * (z_0[1] - z_0[0]), rtol=1e-6, atol=1e-6)


# --- what is refused -------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [0, -1, 1001])
def test_impossible_step_counts_are_refused(steps):
    with pytest.raises(InputError, match="1 … 1000"):
        make_plan("ddim", SCHEDULE, steps)


@pytest.mark.parametrize("eta", [-0.1, 1.1, math.nan, math.inf])
def test_impossible_eta_is_refused(eta):
    with pytest.raises(InputError, match="0 … 1"):
        make_plan("ddim", SCHEDULE, 10, eta=eta)


def test_eta_for_a_sampler_without_it_is_refused():
    with pytest.raises(InputError, match="'euler'"):
        make_plan("euler", SCHEDULE, 10, eta=0.5)


def test_unknown_names_are_answered_with_the_nearest():
    with pytest.raises(InputError, match="Did you mean 'dpm\\+\\+sde'"):
        make_plan("dpm++sd", SCHEDULE, 10)
    with pytest.raises(InputError, match="Did you mean 'karras'"):
        make_plan("heun", SCHEDULE, 10, spacing="karas")


@pytest.mark.parametrize(
    "timesteps", [(), (5.0, 5.0), (1.0, 2.0), (1000.0,), (3.0, -1.0), (math.nan,)]
)
def test_impossible_timesteps_are_refused(timesteps):
    with pytest.raises(InputError, match="decrease strictly"):
        Plan("ddim", SCHEDULE, timesteps)


@pytest.mark.parametrize(
    ("sampler", "timesteps", "end"),
    [("ddim", (1.0, 2.0), 3.0), ("euler", (1.0, 2.0), None), ("euler", (1.0, 3.0), 2.0)],
)
def test_only_euler_rises_and_only_to_an_end(sampler, timesteps, end):
    with pytest.raises(InputError, match="decrease strictly"):
        Plan(sampler, SCHEDULE, timesteps, end=end)


def test_euler_up_and_down_follows_the_exact_flow():
    z_0, grid = normal(0), tuple(float(n) for n in range(999))
    up = Plan("euler", SCHEDULE, (-1.0, *grid), end=999.0)
    z_N = sample(lambda z, n: gaussian(z, n.clamp(min=0)), z_0, up)
    here, there = SCHEDULE.level(-1), SCHEDULE.level(999)
    torch.testing.assert_close(z_N, gaussian_flow(z_0, here, there), rtol=0, atol=0.05)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_walk_can_end_on_the_way(sampler):
    plan = replace(make_plan(sampler, SCHEDULE, 10), end=0.5, timesteps=(700.0, 400.0))
    assert [level.n for level in plan.levels] == [700.0, 400.0, 0.5]


def test_a_start_that_is_not_finite_is_refused():
    with pytest.raises(InputError, match="NaN"):
        sample(two_modes, normal(0) * math.nan, make_plan("ddim", SCHEDULE, 2))


@pytest.mark.parametrize(("sampler", "eta"), [("ddpm", 0.0), ("dpm++sde", 0.0), ("ddim", 1.0)])
def test_a_random_sampler_without_noise_is_refused(sampler, eta):
    with pytest.raises(InputError, match="adds noise"):
        sample(two_modes, normal(0), make_plan(sampler, SCHEDULE, 2, eta=eta))


# --- oracle: diffusers -----------------------------------------------------------------------

PUBLISHED = {
    "beta_start": 0.0015,
    "beta_end": 0.0195,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
    "prediction_type": "epsilon",
    "steps_offset": 1,
}


def trajectory(plan, z_N, noise=None):
    """Return z after every step."""
    states = []
    sample(two_modes, z_N, plan, noise, callback=lambda i, n, z: states.append(z))
    return states


def oracle(scheduler, steps, z_N, extras=dict):
    """Return the sample after every scheduler call, as a variance-preserving latent."""
    scheduler.set_timesteps(steps)
    in_sigma_space = type(scheduler).__name__ in ("EulerDiscreteScheduler", "HeunDiscreteScheduler")
    # We start every sampler from z_N itself; diffusers from σ z_N, 7e-5 less, for these two.
    x = z_N * math.hypot(1, scheduler.sigmas[0]) if in_sigma_space else z_N
    states = []
    for i, t in enumerate(scheduler.timesteps):
        eps = two_modes(scheduler.scale_model_input(x, t), t[None])
        x = scheduler.step(eps, t, x, **extras()).prev_sample
        states.append(x / math.hypot(1, scheduler.sigmas[i + 1]) if in_sigma_space else x)
    return states


def assert_same_trajectory(ours, theirs):
    """To 1e-5 of the largest value: diffusers keeps its tables in float32."""
    assert len(ours) == len(theirs)
    for mine, other in zip(ours, theirs, strict=True):
        scale = other.abs().max().item()
        torch.testing.assert_close(mine, other.to(mine), rtol=0, atol=1e-5 * scale)


@pytest.mark.parametrize("steps", [4, 10, 50, 200])
@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_ddim_equals_diffusers(steps, eta):
    from diffusers import DDIMScheduler

    scheduler = DDIMScheduler(**PUBLISHED, clip_sample=False, set_alpha_to_one=False)
    z_N = normal(0)
    noise = noise_like(z_N)
    extras = (lambda: {"eta": eta, "variance_noise": noise()}) if eta else dict
    theirs = oracle(scheduler, steps, z_N, extras)
    plan = make_plan("ddim", SCHEDULE, steps, eta=eta)
    assert_same_trajectory(trajectory(plan, z_N, noise_like(z_N)), theirs)


@pytest.mark.parametrize("steps", [4, 10, 50])
def test_ddpm_equals_diffusers(steps):
    from diffusers import DDPMScheduler

    scheduler = DDPMScheduler(**PUBLISHED, clip_sample=False)
    z_N = normal(0)
    generator = torch.Generator().manual_seed(1)
    theirs = oracle(scheduler, steps, z_N, lambda: {"generator": generator})
    ours = trajectory(make_plan("ddpm", SCHEDULE, steps), z_N, noise_like(z_N, seed=1))
    assert_same_trajectory(ours, theirs)


@pytest.mark.parametrize("steps", [4, 10, 25])
@pytest.mark.parametrize("sampler", ["dpm++", "dpm++sde"])
def test_dpm_solver_equals_diffusers(sampler, steps):
    from diffusers import DPMSolverMultistepScheduler

    algorithm = {"dpm++": "dpmsolver++", "dpm++sde": "sde-dpmsolver++"}[sampler]
    scheduler = DPMSolverMultistepScheduler(
        **PUBLISHED, algorithm_type=algorithm, timestep_spacing="trailing"
    )
    z_N = normal(0)
    noise = noise_like(z_N)
    theirs = oracle(scheduler, steps, z_N, lambda: {"variance_noise": noise()})
    ours = trajectory(make_plan(sampler, SCHEDULE, steps, spacing="trailing"), z_N, noise_like(z_N))
    assert_same_trajectory(ours, theirs)


def test_dpm_solver_equals_diffusers_at_its_default_timesteps():
    """Any timesteps can be given: here the "linspace" of diffusers, 999, 899, …, 100."""
    from diffusers import DPMSolverMultistepScheduler

    z_N, scheduler = normal(0), DPMSolverMultistepScheduler(**PUBLISHED)
    theirs = oracle(scheduler, 10, z_N)
    plan = Plan("dpm++", SCHEDULE, tuple(map(float, scheduler.timesteps)))
    assert_same_trajectory(trajectory(plan, z_N), theirs)


@pytest.mark.parametrize("steps", [2, 4, 10, 25])
def test_unipc_equals_diffusers(steps):
    from diffusers import UniPCMultistepScheduler

    z_N, scheduler = normal(0), UniPCMultistepScheduler(**PUBLISHED, timestep_spacing="trailing")
    theirs = oracle(scheduler, steps, z_N)
    plan = make_plan("unipc", SCHEDULE, steps, spacing="trailing")
    assert_same_trajectory(trajectory(plan, z_N), theirs)


@pytest.mark.parametrize("steps", [4, 10, 25])
@pytest.mark.parametrize("spacing", ["trailing", "karras"])
@pytest.mark.parametrize("sampler", ["euler", "heun"])
def test_sigma_space_samplers_equal_diffusers(sampler, spacing, steps):
    from diffusers import EulerDiscreteScheduler, HeunDiscreteScheduler

    karras = {"use_karras_sigmas": True, "timestep_spacing": "linspace"}
    settings = karras if spacing == "karras" else {"timestep_spacing": "trailing"}
    kind = {"euler": EulerDiscreteScheduler, "heun": HeunDiscreteScheduler}[sampler]
    z_N = normal(0)
    theirs = oracle(kind(**PUBLISHED, **settings), steps, z_N)
    if sampler == "heun":
        theirs = [*theirs[1::2], theirs[-1]]  # the calls between are half steps
    ours = trajectory(make_plan(sampler, SCHEDULE, steps, spacing=spacing), z_N)
    assert_same_trajectory(ours, theirs)
