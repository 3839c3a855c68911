"""Laws of the diffusion process: schedule, q(z_n | z_0), loss, guidance."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from denoisers import predict_eps
from latentfoley.diffusion import (
    Schedule,
    add_noise,
    diffusion_loss,
    from_velocity,
    guide,
    guided,
    guided_between,
    predict_z0,
    velocity,
)
from latentfoley.errors import InputError

SCHEDULE = Schedule()
SHAPE = (3, 8, 12, 16)


def normal(seed: int, *shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*(shape or SHAPE), generator=generator, dtype=torch.float64)


def linear_denoiser(z_n, n, E):
    """Depend on every argument, and on each clip alone."""
    return z_n * (1 + n[:, None, None, None] / 1000) + E.mean(dim=1)[:, None, None, None]


# --- schedule --------------------------------------------------------------------------------


def test_alpha_bar_is_the_published_one():
    alpha_bar = SCHEDULE.alpha_bar
    assert alpha_bar.dtype == torch.float64 and len(alpha_bar) == 1000
    assert alpha_bar[0].item() == pytest.approx(0.9985, abs=1e-15)
    assert alpha_bar[999].item() == pytest.approx(1.42303975e-4, rel=1e-8)
    assert 10 * math.log10(alpha_bar[999] / (1 - alpha_bar[999])) == pytest.approx(-38.5, abs=0.05)


def test_alpha_bar_decreases_strictly_and_so_does_lambda():
    assert (SCHEDULE.alpha_bar.diff() < 0).all()
    assert (torch.tensor(SCHEDULE.lambdas, dtype=torch.float64).diff() < 0).all()


def test_alpha_bar_agrees_with_diffusers():
    from diffusers import DDIMScheduler

    scheduler = DDIMScheduler(beta_start=0.0015, beta_end=0.0195, beta_schedule="scaled_linear")
    # diffusers multiplies 1000 factors in float32: 1000 roundings of 6e-8, growing like a walk.
    expected = scheduler.alphas_cumprod.double()
    torch.testing.assert_close(SCHEDULE.alpha_bar, expected, rtol=5e-6, atol=0)


@given(st.floats(0, 999))
def test_signal_and_noise_power_sum_to_one(n):
    level = SCHEDULE.level(n)
    assert level.alpha**2 + level.sigma**2 == pytest.approx(1, abs=1e-14)


@given(st.integers(0, 999))
def test_level_of_a_whole_step_is_the_table(n):
    assert SCHEDULE.level(float(n)).alpha ** 2 == pytest.approx(
        SCHEDULE.alpha_bar[n].item(), rel=1e-12
    )


@given(st.floats(0, 999))
def test_timestep_inverts_level(n):
    assert SCHEDULE.timestep(SCHEDULE.level(n).lam) == pytest.approx(n, abs=1e-9)


def test_timestep_clips_to_the_table():
    assert SCHEDULE.timestep(100.0) == 0
    assert SCHEDULE.timestep(-100.0) == 999


def test_minus_one_is_the_clean_level():
    clean = SCHEDULE.level(-1.0)
    assert (clean.alpha, clean.sigma, clean.lam) == (1, 0, math.inf)


def test_schedule_of_one_step():
    schedule = Schedule(n_train_steps=1)
    assert schedule.level(0.0).alpha ** 2 == pytest.approx(1 - 0.0015)
    assert schedule.timestep(0.0) == 0


@pytest.mark.parametrize("n", [-2.0, -0.5, 999.5, 1000.0, math.nan, math.inf])
def test_level_outside_the_schedule_is_refused(n):
    with pytest.raises(InputError, match="0 … 999"):
        SCHEDULE.level(n)


@pytest.mark.parametrize(
    "settings",
    [
        {"beta_start": 0.0},
        {"beta_start": 0.1, "beta_end": 0.01},
        {"beta_end": 1.0},
        {"beta_start": math.nan},
        {"n_train_steps": 0},
    ],
)
def test_impossible_schedule_is_refused(settings):
    with pytest.raises(InputError):
        Schedule(**settings)


# --- q(z_n | z_0) ----------------------------------------------------------------------------


def test_add_noise_composes():
    """q(z_t | z_0) is q(z_s | z_0) followed by q(z_t | z_s): same mean, variances add up."""
    for s, t in [(0, 1), (10, 400), (500, 999)]:
        bar_s, bar_t = SCHEDULE.alpha_bar[[s, t]].tolist()
        a = math.sqrt(bar_t / bar_s)
        level_s, level_t = SCHEDULE.level(float(s)), SCHEDULE.level(float(t))
        variance = a**2 * level_s.sigma**2 + (1 - bar_t / bar_s)
        assert a * level_s.alpha == pytest.approx(level_t.alpha, rel=1e-12)
        assert variance == pytest.approx(level_t.sigma**2, rel=1e-12)


def test_add_noise_is_the_closed_form_for_each_clip():
    z_0, eps, n = normal(0), normal(1), torch.tensor([0, 500, 999])
    z_n = add_noise(z_0, eps, n, SCHEDULE)
    for i in range(3):
        bar = SCHEDULE.alpha_bar[n[i]]
        expected = bar.sqrt() * z_0[i] + (1 - bar).sqrt() * eps[i]
        torch.testing.assert_close(z_n[i], expected, rtol=1e-12, atol=1e-12)
        alone = add_noise(z_0[i : i + 1], eps[i : i + 1], float(n[i]), SCHEDULE)
        torch.testing.assert_close(z_n[i], alone[0], rtol=1e-12, atol=1e-12)


def test_add_noise_at_the_clean_level_is_the_identity():
    assert torch.equal(add_noise(normal(0), normal(1), -1.0, SCHEDULE), normal(0))


def test_add_noise_keeps_unit_variance():
    z_n = add_noise(normal(0, 64, 8, 16, 16), normal(1, 64, 8, 16, 16), 300.0, SCHEDULE)
    # Standard error of a variance from M samples is √(2/M) = 0.4 %.
    assert z_n.var().item() == pytest.approx(1, abs=0.016)


@pytest.mark.parametrize("n", [torch.tensor([0, 321, 999]), 0.0, 123.4, 999.0])
def test_z0_and_eps_are_recovered(n):
    z_0, eps = normal(0), normal(1)
    z_n = add_noise(z_0, eps, n, SCHEDULE)
    torch.testing.assert_close(predict_z0(z_n, eps, n, SCHEDULE), z_0, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(predict_eps(z_n, z_0, n, SCHEDULE), eps, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dtype_is_that_of_the_latent(dtype):
    z_0, eps = normal(0).to(dtype), normal(1).to(dtype)
    assert add_noise(z_0, eps, torch.tensor([1, 2, 3]), SCHEDULE).dtype == dtype
    assert add_noise(z_0, eps, 7.0, SCHEDULE).dtype == dtype


# --- loss ------------------------------------------------------------------------------------


def test_loss_of_a_denoiser_that_knows_is_zero():
    z_0, eps, n = normal(0), normal(1), torch.tensor([5, 50, 500])
    loss = diffusion_loss(
        lambda z_n, n, E: predict_eps(z_n, z_0, n, SCHEDULE), z_0, normal(2, 3, 4), n, eps, SCHEDULE
    )
    torch.testing.assert_close(loss, torch.zeros(3, dtype=torch.float64), rtol=0, atol=1e-20)


def test_loss_of_a_silent_denoiser_is_the_power_of_the_noise():
    eps = normal(1)
    loss = diffusion_loss(
        lambda z_n, n, E: 0 * z_n,
        normal(0),
        normal(2, 3, 4),
        torch.tensor([0, 1, 2]),
        eps,
        SCHEDULE,
    )
    assert loss.shape == (3,)
    torch.testing.assert_close(loss, eps.square().flatten(1).mean(dim=1))


def test_loss_of_a_clip_does_not_depend_on_its_neighbours():
    z_0, eps, E, n = normal(0), normal(1), normal(2, 3, 4), torch.tensor([5, 50, 500])
    together = diffusion_loss(linear_denoiser, z_0, E, n, eps, SCHEDULE)
    for i in range(3):
        one = slice(i, i + 1)
        alone = diffusion_loss(linear_denoiser, z_0[one], E[one], n[one], eps[one], SCHEDULE)
        torch.testing.assert_close(together[one], alone, rtol=1e-12, atol=0)


# --- guidance --------------------------------------------------------------------------------


class Recorder:
    """A denoiser that remembers the batch sizes it was called with."""

    def __init__(self):
        self.batches = []

    def __call__(self, z_n, n, E):
        self.batches.append(len(z_n))
        return linear_denoiser(z_n, n, E)


def guidance_inputs():
    return normal(0), torch.tensor([1.0, 10.0, 100.0]), normal(1, 3, 4), normal(2, 3, 4)


def test_guidance_of_one_is_the_conditional_model_in_one_single_call():
    z_n, n, E, E_uncond = guidance_inputs()
    denoiser = Recorder()
    assert torch.equal(guided(denoiser, E, E_uncond, 1.0)(z_n, n), linear_denoiser(z_n, n, E))
    assert denoiser.batches == [3]


def test_guidance_of_zero_is_the_unconditional_model():
    z_n, n, E, E_uncond = guidance_inputs()
    eps = guided(linear_denoiser, E, E_uncond, 0.0)(z_n, n)
    torch.testing.assert_close(eps, linear_denoiser(z_n, n, E_uncond), rtol=1e-12, atol=1e-12)


def test_guidance_is_a_line_through_both_predictions_in_one_doubled_call():
    z_n, n, E, E_uncond = guidance_inputs()
    denoiser = Recorder()
    eps = guided(denoiser, E, E_uncond, 2.5)(z_n, n)
    eps_u, eps_c = linear_denoiser(z_n, n, E_uncond), linear_denoiser(z_n, n, E)
    torch.testing.assert_close(eps, 2.5 * eps_c - 1.5 * eps_u, rtol=1e-12, atol=1e-12)
    assert denoiser.batches == [6]


def test_one_unconditional_embedding_serves_all_clips():
    z_n, n, E, E_uncond = guidance_inputs()
    one = guided(linear_denoiser, E, E_uncond[:1], 2.5)(z_n, n)
    each = guided(linear_denoiser, E, E_uncond[:1].repeat(3, 1), 2.5)(z_n, n)
    assert torch.equal(one, each)


@given(st.floats(-10, 10))
def test_guidance_between_equal_predictions_changes_nothing(w):
    assert torch.equal(guide(normal(0), normal(0), w), normal(0))


@pytest.mark.parametrize("w", [math.nan, math.inf, -math.inf])
def test_guidance_that_is_no_number_is_refused(w):
    _, _, E, E_uncond = guidance_inputs()
    with pytest.raises(InputError, match="finite"):
        guided(linear_denoiser, E, E_uncond, w)


@pytest.mark.parametrize("n", [0.0, 250.0, 999.0])
def test_a_network_that_predicts_velocity_predicts_noise(n):
    z_0, eps = torch.randn(2, 3, 4, 8, 8, generator=torch.manual_seed(0), dtype=torch.float64)
    v = velocity(z_0, eps, n, SCHEDULE)
    z_n = add_noise(z_0, eps, n, SCHEDULE)
    denoiser = from_velocity(lambda z, n, E: v, SCHEDULE)
    eps_hat = denoiser(z_n, torch.full((3,), n), torch.zeros(3, 4))
    torch.testing.assert_close(eps_hat, eps)


def test_velocity_is_noise_where_there_is_none_and_the_sound_where_there_is_nothing_else():
    z_0, eps = torch.randn(2, 1, 4, 8, 8, generator=torch.manual_seed(0), dtype=torch.float64)
    assert (velocity(z_0, eps, -1.0, SCHEDULE) - eps).abs().max() == 0
    assert (velocity(z_0, eps, 999.0, SCHEDULE) + z_0).abs().max() < 0.1


@pytest.mark.parametrize(
    ("sigmas", "expected"), [((0, 1e9), 3.0), ((0, 0.01), 1.0), ((50, 1e9), 1.0)]
)
def test_guidance_between_two_levels_is_that_inside_and_none_outside(sigmas, expected):
    def constant(value):
        return lambda z_n, n: torch.full_like(z_n, value)

    eps = guided_between(sigmas, Schedule(), constant(3.0), constant(1.0))
    z_n, n = torch.zeros(2, 1, 1, 1), torch.full((2,), 500.0)
    assert torch.equal(eps(z_n, n), torch.full_like(z_n, expected))


def test_the_levels_are_those_of_noise_to_signal():
    schedule = Schedule()
    level = schedule.level(500.0)
    at = level.sigma / level.alpha

    def eps(*sigmas):
        inside, outside = (lambda z, n, v=v: z + v for v in (1.0, 0.0))
        between = guided_between(sigmas, schedule, inside, outside)
        return float(between(torch.zeros(1), torch.tensor([500.0])))

    assert eps(at * 0.99, at * 1.01) == 1.0
    assert eps(at * 1.01, at * 2) == 0.0
    assert eps(at / 2, at * 0.99) == 0.0
