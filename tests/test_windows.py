"""Long sounds piece by piece: chunks change nothing, windows lie on a grid and join smoothly."""

import copy
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from latentfoley.config import MelConfig, VocoderConfig
from latentfoley.diffusion import Schedule
from latentfoley.errors import InputError
from latentfoley.griffin_lim import griffin_lim
from latentfoley.mel import log_mel
from latentfoley.model import long_log_mel
from latentfoley.samplers import SAMPLERS, make_plan, sample
from latentfoley.vocoder import Vocoder
from latentfoley.windows import in_chunks, in_windows, jointly, window_starts
from signals import noise
from weights import normal

MEL = MelConfig()


@pytest.fixture(scope="module")
def picture():
    return log_mel(torch.from_numpy(noise(4.0))[None], MEL)


class TestChunks:
    @pytest.mark.parametrize("chunk", [7, 64, 150, 1000])
    def test_the_vocoder_does_not_see_them(self, micro_model, picture, chunk):
        vocoder = micro_model.vocoder
        with torch.no_grad():
            whole = vocoder(picture)[:, : 160 * picture.shape[2]]
            made = in_chunks(
                vocoder, picture, dims=(2, 1), units=(1, 160), reach=vocoder.reach, chunk=chunk
            )
        torch.testing.assert_close(made, whole, rtol=0, atol=1e-5)

    @pytest.mark.parametrize("chunk", [64, 150])
    def test_nor_does_the_mending_of_phases(self, micro_model, picture, chunk, monkeypatch):
        model = replace(
            micro_model, config=micro_model.config.model_copy(update={"phase_iterations": 4})
        )
        with torch.no_grad():
            whole = model.vocode(picture)
            monkeypatch.setattr("latentfoley.windows.CHUNK", chunk)
            made = model.vocode(picture)
        assert made.shape == whole.shape
        torch.testing.assert_close(made, whole, rtol=0, atol=1e-3)

    @pytest.mark.parametrize("framing", ["trainer", "inference"])
    def test_nor_does_the_mel(self, framing, monkeypatch):
        mel = MelConfig(framing=framing)
        waveform = torch.from_numpy(noise(2.0))[None]
        monkeypatch.setattr("latentfoley.windows.CHUNK", 33)
        torch.testing.assert_close(
            long_log_mel(waveform, mel), log_mel(waveform, mel)[:, :, :200], rtol=0, atol=1e-5
        )

    def test_griffin_lim_reaches_no_further_than_it_says(self, picture):
        changed = picture.clone()
        changed[:, :, 200] += 1
        first, second = (griffin_lim(x, MEL, iterations=3) for x in (picture, changed))
        touched = (first - second).abs()[0].nonzero().flatten()
        assert touched.min() >= (200 - 4 * 7) * 160
        assert touched.max() < (201 + 4 * 7) * 160

    @pytest.mark.parametrize("config", [VocoderConfig(channels=32), None])
    def test_a_vocoder_reaches_as_far_as_it_says_and_not_much_less(self, config, micro_model):
        torch.manual_seed(0)
        vocoder = Vocoder(config) if config else copy.deepcopy(micro_model.vocoder)
        vocoder.double()  # in single precision the faintest influence is rounded away
        first = normal(1, 1, 120, 64).double()
        second = first.clone()
        second[:, :, 60] += 5
        with torch.no_grad():
            touched = (vocoder(first) - vocoder(second)).abs()[0].nonzero().flatten()
        assert touched.min() >= (60 - vocoder.reach) * 160
        assert touched.max() < (61 + vocoder.reach) * 160
        assert touched.min() < (60 - vocoder.reach + 10) * 160


class TestGrid:
    @settings(max_examples=100, deadline=None)
    @given(st.integers(4, 60), st.integers(1, 400))
    def test_windows_cover_everything_and_overlap(self, window, more):
        starts = window_starts(window + more, window)
        assert starts[0] == 0
        assert starts[-1] == more
        assert all(0 < b - a <= window - window // 4 for a, b in pairwise(starts))

    @settings(max_examples=50, deadline=None)
    @given(st.integers(4, 40), st.integers(1, 200), st.sampled_from([(1, 1), (1, 4), (4, 1)]))
    def test_what_is_the_same_everywhere_stays_the_same(self, window, n_frames, units):
        def function(x):
            assert x.shape[2] <= window * units[0]
            return x.new_full((1, 2, x.shape[2] // units[0] * units[1], 3), 0.7)

        x = torch.zeros(1, 1, n_frames * units[0], 1)
        made = in_windows(function, x, window=window, units=units)
        assert made.shape == (1, 2, n_frames * units[1], 3)
        torch.testing.assert_close(made, torch.full_like(made, 0.7))

    def test_a_window_and_less_is_the_function_itself(self):
        x = normal(1, 2, 8, 3)
        assert in_windows(lambda part: part.flip(2), x, window=8).equal(x.flip(2))

    def test_windows_that_disagree_give_way_to_each_other_without_a_jump(self):
        values = iter([0.0, 1.0, 2.0])
        x = torch.zeros(1, 1, 32 * 2 + 16, 1)
        made = in_windows(lambda part: part + next(values), x, window=32)
        assert made.flatten().diff().abs().max() < 0.25


class TestJointly:
    @pytest.mark.parametrize("sampler", SAMPLERS)
    def test_a_denoiser_that_looks_at_one_position_gives_the_same(self, sampler):
        def denoiser(z_n, n):
            assert z_n.shape[2] <= 8
            return torch.tanh(z_n) * (1 + n[0] / 1000)

        def everywhere(z_n, n):
            return torch.tanh(z_n) * (1 + n[0] / 1000)

        z_N, plan = normal(2, 4, 30, 8), make_plan(sampler, Schedule(), 5)
        made, whole = (
            sample(d, z_N, plan, lambda: normal(2, 4, 30, 8, seed=1))
            for d in (jointly(denoiser, 8), everywhere)
        )
        torch.testing.assert_close(made, whole, rtol=1e-4, atol=1e-4)


@pytest.fixture(scope="module")
def short_window(micro_model):
    """The micro model with windows of 2.56 s, of 64 latent frames."""
    return replace(micro_model, window_s=2.56)


@pytest.fixture(scope="module")
def half(short_window):
    """The same with a denoiser in bf16."""
    return replace(short_window, unet=copy.deepcopy(short_window.unet).bfloat16())


LONG = pytest.param(95.0, marks=pytest.mark.slow)


class TestAnyLength:
    @pytest.mark.parametrize("duration_s", [0.1, 7.3, LONG])
    def test_generation(self, short_window, duration_s):
        (clip,) = short_window.generate("rain", duration_s=duration_s, steps=1)
        assert clip.waveform.shape == (round(duration_s * 16_000),)
        assert np.isfinite(clip.waveform).all()

    @pytest.mark.parametrize("duration_s", [0.1, 7.3, 95.0])
    def test_transfer(self, short_window, tmp_path, duration_s):
        self.edit(short_window, tmp_path, duration_s, "transfer")

    @pytest.mark.parametrize("duration_s", [0.1, 7.3, LONG])
    def test_inpainting(self, short_window, tmp_path, duration_s):
        self.edit(short_window, tmp_path, duration_s, "inpaint", spans=[(0.02, 0.07)])

    @pytest.mark.parametrize("duration_s", [0.1, 7.3, LONG])
    @pytest.mark.parametrize(
        ("kind", "options"),
        [
            ("vary", {"invert": True}),
            ("inpaint", {"bands": [(2000, 4000)]}),
            ("upsample", {"cutoff_hz": 3000}),
            ("loop", {"seam_s": 0.04}),
            ("morph", {"other": "other.wav"}),
        ],
    )
    def test_every_other_edit(self, short_window, tmp_path, monkeypatch, duration_s, kind, options):
        monkeypatch.chdir(tmp_path)
        soundfile.write("other.wav", noise(0.3, seed=1), 16_000)
        self.edit(short_window, tmp_path, duration_s, kind, **options)

    @pytest.mark.parametrize("duration_s", [0.1, 7.3, LONG])
    def test_an_extension_is_longer_by_what_was_asked_for(self, short_window, tmp_path, duration_s):
        options = {"before_s": 0.1, "after_s": 1.7}
        self.edit(short_window, tmp_path, duration_s, "extend", more_s=1.8, **options)

    @pytest.mark.parametrize(
        ("kind", "options"), [("transfer", {"strength": 0.6}), ("inpaint", {"spans": [(1, 2)]})]
    )
    def test_no_edit_sees_the_chunks(self, short_window, tmp_path, monkeypatch, kind, options):
        """From file to file: mel, VAE, UNet, vocoder and the mending of phases."""
        config = short_window.config.model_copy(update={"phase_iterations": 2})
        model = replace(short_window, config=config)
        whole = self.edit(model, tmp_path, 7.3, kind, **options)
        for chunk in (64, 333):
            monkeypatch.setattr("latentfoley.windows.CHUNK", chunk)
            made = self.edit(model, tmp_path, 7.3, kind, **options)
            np.testing.assert_allclose(made, whole, rtol=0, atol=1e-3)

    def edit(self, model, folder, duration_s, kind, *, more_s=0.0, **options):
        soundfile.write(folder / "in.wav", noise(duration_s), 16_000)
        options |= {"steps": 1, "guidance": 1.0}
        (clip,) = model.edit(kind, folder / "in.wav", "rain", **options)
        assert clip.waveform.shape == (round((duration_s + more_s) * 16_000),)
        assert np.isfinite(clip.waveform).all()
        return clip.waveform

    def test_within_a_window_nothing_is_cut(self, micro_model):
        (first,) = micro_model.generate("rain", duration_s=3.0, steps=2)
        (second,) = replace(micro_model, window_s=3.1).generate("rain", duration_s=3.0, steps=2)
        np.testing.assert_array_equal(first.waveform, second.waveform)

    @pytest.mark.parametrize("sampler", SAMPLERS)
    def test_every_sampler(self, short_window, sampler):
        (clip,) = short_window.generate("rain", duration_s=2.7, steps=3, sampler=sampler)
        assert np.isfinite(clip.waveform).all()

    @pytest.mark.parametrize(
        ("kind", "options"), [("transfer", {"strength": 0.6}), ("inpaint", {"spans": [(1, 2)]})]
    )
    @pytest.mark.parametrize(
        "waveform",
        [
            pytest.param(np.zeros(80_000), id="silence"),
            pytest.param(np.sign(np.sin(np.arange(80_000) / 10)), id="square wave"),
            pytest.param(noise(600.0), id="ten minutes of noise", marks=pytest.mark.slow),
        ],
    )
    def test_no_nan_in_bf16(self, half, tmp_path, waveform, kind, options):
        soundfile.write(tmp_path / "in.wav", waveform, 16_000, subtype="FLOAT")
        arguments = (kind, tmp_path / "in.wav", "rain")
        if kind == "transfer" and not waveform.any():
            with pytest.raises(InputError, match="is silent"):  # there is nothing to transfer
                half.edit(*arguments, steps=1, **options)
            return
        (clip,) = half.edit(*arguments, steps=1, **options)
        assert len(clip.waveform) == len(waveform)
        assert np.isfinite(clip.waveform).all()
