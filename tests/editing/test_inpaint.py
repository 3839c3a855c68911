"""Inpainting and extension: what is kept is kept to the sample, what is not is regenerated."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from latentfoley.editing import EditRequest, prepare
from latentfoley.editing.inpaint import Inpainting
from latentfoley.editing.masks import Region
from latentfoley.errors import InputError
from latentfoley.samplers import SAMPLERS
from signals import click, noise, tone

FADE = 320
SPANS = [(0.2, 0.3), (0.55, 0.6)]


def outside(spans, n_samples, fade=FADE):
    kept = np.ones(n_samples, dtype=bool)
    for start, stop in spans:
        kept[max(0, round(start * 16_000) - fade) : round(stop * 16_000) + fade] = False
    return kept


class TestWhatIsKept:
    @pytest.mark.parametrize("sampler", SAMPLERS)
    @pytest.mark.parametrize("repeats", [1, 2])
    def test_outside_the_spans_to_the_sample(self, edit, source, sampler, repeats):
        clip = edit("inpaint", source, "rain", spans=SPANS, sampler=sampler, repeats=repeats)
        kept = outside(SPANS, len(source))
        np.testing.assert_array_equal(clip.waveform[kept], source[kept])
        made = ~outside(SPANS, len(source), fade=0)
        assert np.isfinite(clip.waveform).all()
        assert np.abs(clip.waveform - source)[made].mean() > 0.01

    @pytest.mark.parametrize("span", [(0, 0.1), (0.6, 0.731), (0.3, 0.3001)])
    def test_at_either_end_and_very_short(self, edit, source, span):
        clip = edit("inpaint", source, "rain", spans=[span])
        kept = outside([span], len(source))
        np.testing.assert_array_equal(clip.waveform[kept], source[kept])
        assert clip.waveform.shape == source.shape

    def test_samples_beyond_full_scale_stay_too(self, edit):
        source = noise(0.5, amplitude=1.5)
        clip = edit("inpaint", source, "rain", spans=[(0.2, 0.3)])
        kept = outside([(0.2, 0.3)], len(source))
        np.testing.assert_array_equal(clip.waveform[kept], source[kept])

    def test_the_other_bands(self, edit, source):
        clip = edit("inpaint", source, "rain", bands=[(4000, 8000)])
        low = np.fft.rfftfreq(len(source), 1 / 16_000) < 3900
        change = np.abs(np.fft.rfft(clip.waveform - source))
        assert change[low].max() < 0.02 * change.max()

    def test_an_empty_region_returns_the_recording(self, micro_model, source, tmp_path, edit):
        edit("vary", source)  # writes the file
        request = EditRequest.build(
            "inpaint", tmp_path / "in.wav", "rain", spans=[(0, 0.1)], steps=2
        )
        inpainting = prepare(micro_model, request)
        nothing = Region(((0, 0),), (), len(source), micro_model.config)
        inpainting = Inpainting.of(micro_model, inpainting.source, nothing, 1)
        (clip,) = micro_model.make(inpainting)
        np.testing.assert_array_equal(clip.waveform, source)

    @pytest.mark.parametrize(
        "region", [{"spans": [(0, 0.731)]}, {"spans": [(0, 0.4), (0.4, 0.735)]}]
    )
    @pytest.mark.parametrize("sampler", SAMPLERS)
    def test_a_full_region_is_generation(self, edit, micro_model, source, sampler, region):
        options = {"seed": 5, "sampler": sampler, "steps": 3}
        clip = edit("inpaint", source, "rain", **region, **options)
        (generated,) = micro_model.generate("rain", duration_s=0.731, **options)
        np.testing.assert_array_equal(clip.waveform, generated.waveform)


class TestTheRun:
    @pytest.fixture
    def latents(self, edit, source, monkeypatch):
        """The clean latent before and after an inpainting."""

        def latents(**options):
            seen = {}
            enter = Inpainting.enter

            def spy(inpainting, run):
                seen.update(z_0=inpainting.z_0, mask=inpainting.mask)
                to_decoder = lambda z_0: seen.update(made=z_0) or z_0  # noqa: E731
                return replace(enter(inpainting, run), to_decoder=to_decoder)

            monkeypatch.setattr(Inpainting, "enter", spy)
            edit("inpaint", source, "rain", **options)
            return seen["z_0"], seen["mask"].expand_as(seen["z_0"]), seen["made"]

        return latents

    @pytest.mark.parametrize("sampler", SAMPLERS)
    def test_what_is_kept_ends_as_it_was(self, latents, sampler):
        z_0, mask, made = latents(spans=[(0.3, 0.4)], sampler=sampler)
        if SAMPLERS[sampler].ends_clean:
            torch.testing.assert_close(made[mask == 0], z_0[mask == 0], rtol=0, atol=0)
        else:  # noise of the first step stays: σ = 0.039
            assert (made - z_0)[mask == 0].std() < 0.08
        assert (made - z_0)[mask == 1].std() > 0.1

    def test_more_repeats_are_more_steps(self, edit, micro_model, source, monkeypatch):
        calls = []
        forward = type(micro_model.unet).forward

        def count(unet, *inputs):
            calls.append(1)
            return forward(unet, *inputs)

        monkeypatch.setattr(type(micro_model.unet), "forward", count)
        for repeats, expected in [(1, 4), (3, 4 + 2 * 3)]:
            calls.clear()
            edit("inpaint", source, "rain", spans=[(0.3, 0.4)], steps=4, repeats=repeats)
            assert len(calls) == expected

    def test_the_removed_sound_does_not_set_the_level(self, edit):
        quiet = noise(0.6, amplitude=0.01)
        loud = quiet + click(0.3, 0.6, amplitude=0.9)
        clip = edit("inpaint", loud, "rain", spans=[(0.25, 0.35)])
        assert np.abs(clip.waveform).max() < 0.05


class TestExtension:
    @pytest.mark.parametrize(("before", "after"), [(0, 0.5), (0.3, 0), (0.2, 0.4)])
    def test_the_recording_stays_and_the_rest_is_added(self, edit, source, before, after):
        clip = edit("extend", source, "rain", before_s=before, after_s=after)
        start, n_samples = round(before * 16_000), len(source) + round((before + after) * 16_000)
        assert clip.waveform.shape == (n_samples,)
        assert clip.provenance.duration_s == n_samples / 16_000
        first, last = (FADE if before else 0), (FADE if after else 0)
        inner = clip.waveform[start + first : start + len(source) - last]
        np.testing.assert_array_equal(inner, source[first : len(source) - last])
        assert np.isfinite(clip.waveform).all()
        assert np.abs(clip.waveform[start + len(source) :]).max(initial=1) > 1e-3

    def test_by_more_than_the_recording_is_long(self, edit):
        assert len(edit("extend", tone(duration_s=0.1), "rain", after_s=1.0).waveform) == 17_600


class TestRefused:
    @pytest.mark.parametrize(
        ("kind", "options", "message"),
        [
            ("inpaint", {}, r"inpaint needs spans \(--from, --to\), bands"),
            (
                "inpaint",
                {"spans": [(0.3, 0.2)]},
                r"spans: 0.3 to 0.2 s is reversed.* 0.2 to 0.3 s\?",
            ),
            ("inpaint", {"spans": [(0.2, 0.2)]}, "spans: 0.2 to 0.2 s is reversed, empty or below"),
            ("inpaint", {"spans": [(-1, 0.2)]}, "spans: -1 to 0.2 s is reversed, empty or below 0"),
            ("inpaint", {"spans": [(0, float("nan"))]}, "spans: .*finite number, got nan"),
            (
                "inpaint",
                {"spans": [(0.5, 2)]},
                r"0.5 to 2 s lies outside: 'in.wav' is 0.731 s long; allowed: 0 to 0.731 s. "
                r"Did you mean 0.5 to 0.731\?",
            ),
            ("inpaint", {"spans": [(5, 6)]}, "5 to 6 s lies outside: .* allowed: 0 to 0.731 s$"),
            (
                "inpaint",
                {"bands": [(2000, 12_000)]},
                r"2000 to 12000 Hz lies outside: the model at 16000 Hz hears up to 8000 Hz; "
                r"allowed: 0 to 8000 Hz. Did you mean 2000 to 8000\?",
            ),
            ("inpaint", {"spans": [(0, 1)], "repeats": 0}, "repeats: must lie between 1 and 20"),
            ("inpaint", {"spans": [(0, 1)], "strength": 0.5}, "strength is no setting of inpaint"),
            ("extend", {}, r"extend needs before_s \(--before\), after_s"),
            ("extend", {"after_s": -1}, "after_s: must lie between 0 and 3600"),
        ],
    )
    def test_what_is_not_allowed(self, edit, source, kind, options, message):
        with pytest.raises(InputError, match=message):
            edit(kind, source, "rain", **options)

    def test_a_span_may_end_where_a_rounded_length_says(self, edit, source):
        assert len(edit("inpaint", source, "rain", spans=[(0.5, 0.74)]).waveform) == len(source)


def test_a_sound_can_be_put_into_silence(edit):
    clip = edit("inpaint", np.zeros(8000, np.float32), "rain", spans=[(0.2, 0.3)])
    assert np.abs(clip.waveform[3200:4800]).max() > 0
    assert np.abs(clip.waveform[:2800]).max() == 0
