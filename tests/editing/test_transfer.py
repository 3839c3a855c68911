"""Transfer and variation: their two ends are known exactly, and lengths are kept."""

import tracemalloc

import numpy as np
import pytest
import soundfile
import torch

from denoisers import predict_eps
from latentfoley.diffusion import Schedule
from latentfoley.editing.request import EditRequest
from latentfoley.editing.source import Level
from latentfoley.editing.transfer import below, invert
from latentfoley.samplers import SAMPLERS, make_plan, sample
from signals import noise, tone
from weights import normal

SCHEDULE = Schedule()


def reconstruction(model, waveform):
    """The recording through the VAE and the vocoder, at its own level."""
    level = Level.of(waveform)
    with torch.no_grad():
        made = model.vocode(model.vae.decode(model.encode(level.to_model(waveform))))
    return level.to_source(made[0, : len(waveform)].numpy())


class TestEnds:
    @pytest.mark.parametrize("kind", ["transfer", "vary"])
    @pytest.mark.parametrize("invert", [False, True])
    def test_depth_0_is_the_reconstruction(self, edit, micro_model, source, kind, invert):
        clip = edit(kind, source, "rain", strength=0, invert=invert)
        np.testing.assert_array_equal(clip.waveform, reconstruction(micro_model, source))

    @pytest.mark.parametrize("sampler", SAMPLERS)
    def test_depth_1_is_generation(self, edit, micro_model, source, sampler):
        options = {"seed": 5, "sampler": sampler, "steps": 3}
        clip = edit("transfer", source, "rain", strength=1, **options)
        (generated,) = micro_model.generate("rain", duration_s=len(source) / 16_000, **options)
        np.testing.assert_array_equal(clip.waveform, generated.waveform)

    @pytest.mark.parametrize("invert", [False, True])
    def test_deeper_is_further_away(self, edit, micro_model, source, invert):
        start = reconstruction(micro_model, source)
        distances = [
            np.square(
                edit("vary", source, "rain", strength=s, invert=invert).waveform - start
            ).mean()
            for s in (0.01, 0.9)
        ]
        assert distances == sorted(distances)


class TestWhatItDependsOn:
    def test_the_prompt_is_heard(self, edit, source):
        first, second = (edit("transfer", source, text, strength=0.7) for text in ("rain", "a dog"))
        assert np.abs(first.waveform - second.waveform).max() > 1e-3

    def test_the_source_prompt_is_led_away_from(self, edit, source):
        first = edit("transfer", source, "a dog", source_prompt="rain")
        second = edit("transfer", source, "a dog", negative_prompt="rain")
        np.testing.assert_array_equal(first.waveform, second.waveform)

    def test_a_variation_is_guided_by_its_own_sound(self, edit, source, tmp_path):
        first = edit("vary", source, seed=1)
        second = edit("transfer", source, audio_prompt=tmp_path / "in.wav", strength=0.5, seed=1)
        np.testing.assert_array_equal(first.waveform, second.waveform)

    def test_another_seed_is_another_take(self, edit, source):
        first, second = (edit("vary", source, seed=seed) for seed in (1, 2))
        assert np.abs(first.waveform - second.waveform).max() > 1e-3

    @pytest.mark.parametrize("sampler", SAMPLERS)
    @pytest.mark.parametrize("invert", [False, True])
    def test_every_sampler(self, edit, source, sampler, invert):
        clip = edit("transfer", source, "rain", sampler=sampler, invert=invert)
        assert np.isfinite(clip.waveform).all()

    def test_the_level_comes_back(self, edit):
        loud = noise(0.5, amplitude=0.5)
        first, second = (edit("vary", loud * gain, "rain", seed=1).waveform for gain in (1, 0.01))
        np.testing.assert_allclose(second, 0.01 * first, atol=1e-4)


@pytest.mark.parametrize("n_samples", [1600, 1601, 2559, 2560, 2561, 11_696])
def test_exactly_as_long_as_the_recording(edit, n_samples):
    clip = edit("vary", noise(1.0)[:n_samples], "rain", steps=1)
    assert clip.waveform.shape == (n_samples,)


def test_progress_ends_where_it_should(micro_model, tmp_path, source, edit):
    edit("vary", source, "rain")  # writes the file
    for options in ({}, {"invert": True}):
        seen = []
        request = EditRequest.build("vary", tmp_path / "in.wav", "rain", steps=4, n=2, **options)
        list(micro_model.run(request, lambda done, total, seen=seen: seen.append((done, total))))
        assert [done for done, _ in seen] == sorted({done for done, _ in seen})
        assert seen[-1][0] == seen[-1][1]


class TestDepth:
    @pytest.mark.parametrize("sampler", SAMPLERS)
    def test_it_is_a_share_of_the_diffusion_and_not_of_the_steps(self, sampler):
        plan = below(make_plan(sampler, SCHEDULE, 25), 0.5)
        assert plan.timesteps[0] == 499.5
        assert all(n <= 498.5 for n in plan.timesteps[1:])

    def test_the_shallowest(self):
        assert below(make_plan("ddim", SCHEDULE, 25), 1e-4).timesteps == pytest.approx((0.0999,))


class TestInversion:
    """On a Gaussian target the flow is known: up and down again is the identity."""

    def test_up_and_down_is_the_identity(self):
        def denoiser(z_n, n):
            level = SCHEDULE.level(float(n[0]))
            v = (0.5 * level.alpha) ** 2 + level.sigma**2
            return level.sigma * (z_n - 0.7 * level.alpha) / v

        z_0 = 0.7 + 0.5 * normal(1, 4, 8, 8).double()
        plan = make_plan("euler", SCHEDULE, 400)
        z_N = invert(denoiser, z_0, plan)
        assert 0.7 < float(z_N.std()) < 1.3
        assert float((sample(denoiser, z_N, plan) - z_0).abs().max()) < 0.05

    def test_the_network_is_not_asked_below_its_first_step(self):
        seen = []

        def denoiser(z_n, n):
            seen.append(float(n[0]))
            return predict_eps(z_n, z_n * 0, 500.0, SCHEDULE)

        invert(denoiser, normal(1, 4, 8, 8), make_plan("dpm++", SCHEDULE, 5))
        assert seen[0] == 0
        assert seen == sorted(seen)


def test_a_level_goes_there_and_back():
    waveform = 0.02 * tone() + 0.01
    level = Level.of(waveform)
    assert np.abs(level.to_model(waveform)).max() == pytest.approx(0.5, abs=1e-5)
    np.testing.assert_allclose(level.to_source(level.to_model(waveform)), waveform, atol=1e-7)
    assert Level.of(np.zeros(10, np.float32)) == Level()


def test_a_long_sound_gets_its_level_back_without_further_copies():
    long = np.resize(noise(), 100 * 16_000)
    level = Level.of(long)
    tracemalloc.start()
    level.to_source(long)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1.1 * long.nbytes


class TestLoudSources:
    """What is made does not clip: it is turned down as a whole, as a generation is."""

    @pytest.mark.parametrize("peak", [0.99, 3.0])
    @pytest.mark.parametrize(
        ("kind", "options"),
        [("transfer", {}), ("vary", {"strength": 0.9}), ("vary", {"invert": True}), ("morph", {})],
    )
    def test_no_sample_lies_at_full_scale(self, edit, tmp_path, kind, options, peak):
        loud = peak * noise(0.5)
        if kind == "morph":
            soundfile.write(tmp_path / "other.wav", loud, 16_000, subtype="FLOAT")
            options = {"other": tmp_path / "other.wav"}
        clip = edit(kind, loud, "rain", **options)
        assert np.abs(clip.waveform).max() < 1

    def test_the_made_span_of_a_loud_source(self, edit):
        loud = noise(0.5, amplitude=1.0)
        clip = edit("inpaint", loud, "rain", spans=[(0.2, 0.3)])
        assert np.abs(clip.waveform[3200:4800]).max() < 1
        np.testing.assert_array_equal(clip.waveform[:2800], loud[:2800])
