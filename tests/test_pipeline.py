"""Text → waveform with a micro model: lengths, seeds, guidance, candidates, provenance."""

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from latentfoley.audio import normalise_peak
from latentfoley.config import ModelConfig
from latentfoley.errors import AudioFileError, InputError, ModelError
from latentfoley.model import latent_shape
from latentfoley.pipeline import Model
from latentfoley.presets import small
from latentfoley.provenance import identity, read_provenance
from latentfoley.request import FAST_STEPS, GenerationRequest
from latentfoley.samplers import SAMPLERS
from latentfoley.sampling import clip_generator
from signals import noise, tone

# How far apart the same clip may lie: sums in another order, through every step and the vocoder.
ATOL = 1e-5


@pytest.fixture
def generate(micro_model):
    """`model.generate` with as little work as makes a sound."""

    def generate(prompt=None, **options):
        return micro_model.generate(prompt, **({"duration_s": 0.1, "steps": 2} | options))

    return generate


@pytest.fixture
def recording(tmp_path):
    soundfile.write(tmp_path / "like me.wav", tone(duration_s=0.5), 16_000, subtype="FLOAT")
    return tmp_path / "like me.wav"


def same(first, second):
    np.testing.assert_allclose(first.waveform, second.waveform, rtol=0, atol=ATOL)


def distance(first, second):
    return float(np.abs(first.waveform - second.waveform).max())


class TestLength:
    @pytest.mark.parametrize("duration_s", [0.1, 1.0, 1.234])
    def test_as_many_samples_as_asked_for(self, generate, duration_s):
        (clip,) = generate("rain", duration_s=duration_s)
        assert clip.waveform.shape == (round(duration_s * 16_000),)
        assert clip.duration_s == duration_s
        assert clip.waveform.dtype == np.float32
        assert np.abs(clip.waveform).max() <= 1

    @given(st.integers(1, 2_000_000))
    def test_the_latent_is_the_shortest_that_covers_them(self, n_samples):
        channels, frames, bands = latent_shape(n_samples, small())
        assert (channels, bands) == (8, 16)
        assert (frames - 1) * 640 < n_samples <= frames * 640


class TestSeeds:
    def test_the_same_seed_gives_the_same_samples(self, generate):
        (first,), (second,) = generate("rain", seed=3), generate("rain", seed=3)
        np.testing.assert_array_equal(first.waveform, second.waveform)

    @pytest.mark.parametrize("other", [{"seed": 4}, {"index": 1}, {"candidate": 1}])
    def test_another_number_gives_another_sound(self, generate, other):
        (first,), (second,) = generate("rain", seed=3), generate("rain", **({"seed": 3} | other))
        assert distance(first, second) > 0.01

    @pytest.mark.parametrize("sampler", ["dpm++", "dpm++sde"])
    def test_a_clip_does_not_depend_on_its_batch(self, generate, monkeypatch, sampler):
        prompts = ["rain", "a dog", "the sea"]
        alone = generate(prompts, n=2, seed=1, sampler=sampler)
        monkeypatch.setattr(Model, "batch_size", 4)  # as on an accelerator
        together = generate(prompts, n=2, seed=1, sampler=sampler)
        for first, second in zip(together, alone, strict=True):
            same(first, second)

    def test_a_clip_can_be_made_again_by_its_number(self, generate):
        clips = generate(["rain", "a dog"], n=2, seed=1, index=5)
        assert [clip.provenance.index for clip in clips] == [5, 6, 7, 8]
        assert [clip.provenance.prompt for clip in clips] == ["rain", "rain", "a dog", "a dog"]
        (again,) = generate("a dog", seed=1, index=8)
        np.testing.assert_array_equal(again.waveform, clips[3].waveform)

    def test_more_clips_than_a_batch_come_in_order(self, generate, monkeypatch):
        monkeypatch.setattr(Model, "batch_size", 4)
        clips = generate(["rain", "sea"], n=5, steps=1)
        assert [clip.provenance.index for clip in clips] == list(range(10))

    @settings(max_examples=100, deadline=None)
    @given(
        st.lists(
            st.tuples(st.integers(0, 2**63 - 1), st.integers(0, 2**31), st.integers(0, 2**31)),
            min_size=2,
            max_size=2,
            unique=True,
        )
    )
    def test_every_clip_has_noise_of_its_own(self, numbers):
        first, second = (torch.randn(8, generator=clip_generator(*n)) for n in numbers)
        assert not torch.equal(first, second)

    def test_a_long_seed_does_not_run_into_the_index(self):
        first, second = (clip_generator(*n) for n in [(2**32 + 5, 0, 0), (5, 1, 0)])
        assert first.initial_seed() != second.initial_seed()


class TestPrompts:
    def test_they_are_heard(self, generate):
        assert distance(generate("rain")[0], generate("a dog barking")[0]) > 1e-3

    def test_no_negative_prompt_is_the_empty_one(self, generate):
        same(generate("rain", negative_prompt="")[0], generate("rain")[0])
        assert distance(generate("rain", negative_prompt="a dog")[0], generate("rain")[0]) > 1e-3

    def test_at_guidance_1_the_negative_prompt_is_not_heard(self, generate):
        first, second = (
            generate("rain", guidance=1.0, negative_prompt=text)[0] for text in ("", "a dog")
        )
        same(first, second)

    def test_at_guidance_0_the_prompt_is_not_heard(self, generate):
        same(generate("rain", guidance=0.0)[0], generate("a dog", guidance=0.0)[0])

    @pytest.mark.parametrize("blend", ["rain @1", {"rain": 3.0}, "rain @1 + a dog @0"])
    def test_a_blend_of_one_is_the_prompt(self, generate, blend):
        same(generate(blend)[0], generate("rain")[0])

    def test_a_blend_lies_between(self, micro_model):
        parts = micro_model.text.embed(["rain", "a dog"])
        E = micro_model.embed([("rain", 0.5), ("a dog", 0.5)])
        torch.testing.assert_close(E.norm(), torch.tensor(1.0))
        torch.testing.assert_close(E @ parts[0], E @ parts[1])

    def test_a_recording_stands_for_the_prompt(self, generate, micro_model, recording):
        E = micro_model.embed_recordings([(recording, 1.0)])
        levelled = normalise_peak(tone(duration_s=0.5))
        torch.testing.assert_close(E, micro_model.audio.embed(levelled, 16_000))
        clips = generate(audio_prompt=recording, n=2)
        assert len(clips) == 2
        assert clips[0].provenance.audio_prompt.file == "like me.wav"
        assert clips[0].provenance.prompt == ""
        assert distance(clips[0], generate("rain")[0]) > 1e-3

    @pytest.mark.parametrize(("gain", "offset"), [(0.01, 0.0), (0.5, 0.2)])
    def test_the_level_of_a_recording_does_not_matter(self, micro_model, tmp_path, gain, offset):
        """Training brings every sound to a mean of 0 and a peak of 0.5 before it is embedded."""
        for name, sound in {"a": noise(0.5), "b": gain * noise(0.5) + offset}.items():
            soundfile.write(tmp_path / f"{name}.wav", sound, 16_000, subtype="FLOAT")
        E, other = (
            micro_model.embed_recordings([(tmp_path / f"{name}.wav", 1.0)]) for name in "ab"
        )
        torch.testing.assert_close(E, other, rtol=0, atol=1e-4)

    def test_a_recording_that_cannot_guide(self, generate, tmp_path):
        with pytest.raises(AudioFileError, match="nowhere"):
            generate(audio_prompt=tmp_path / "nowhere.wav")
        soundfile.write(tmp_path / "silence.wav", np.zeros(16_000), 16_000)
        with pytest.raises(InputError, match="is silent"):
            generate(audio_prompt=tmp_path / "silence.wav")


class TestSamplers:
    @pytest.mark.parametrize("sampler", SAMPLERS)
    def test_every_one_runs(self, generate, sampler):
        (clip,) = generate("rain", sampler=sampler, steps=3)
        assert np.isfinite(clip.waveform).all()
        assert clip.provenance.spacing == SAMPLERS[sampler].spacing

    @pytest.mark.parametrize("spacing", ["uniform", "trailing", "karras"])
    def test_every_spacing_runs(self, generate, spacing):
        assert generate("rain", spacing=spacing)[0].provenance.spacing == spacing

    def test_eta_adds_noise(self, generate):
        options = {"sampler": "ddim", "steps": 3}
        assert distance(generate("rain", **options, eta=1.0)[0], generate("rain", **options)[0]) > 0


class TestFast:
    def passes(self, model, monkeypatch, **options):
        """How many clips the denoiser is shown in all."""
        shown = []
        forward = type(model.unet).forward
        monkeypatch.setattr(
            type(model.unet),
            "forward",
            lambda self, z, n, E: shown.append(len(z)) or forward(self, z, n, E),
        )
        clip = model.generate("rain", duration_s=0.1, **options)[0]
        return sum(shown), clip

    def test_it_takes_less_than_a_third_of_the_passes(self, micro_model, monkeypatch):
        passes, clip = self.passes(micro_model, monkeypatch, fast=True)
        assert FAST_STEPS < passes < 2 * FAST_STEPS < 50 / 3
        assert clip.provenance.fast
        assert clip.provenance.steps == FAST_STEPS

    def test_steps_that_are_given_stay(self, micro_model, monkeypatch):
        passes, clip = self.passes(micro_model, monkeypatch, fast=True, steps=3)
        assert 3 <= passes <= 6
        assert clip.provenance.steps == 3

    def test_its_record_makes_it_again(self, micro_model):
        clip = micro_model.generate("rain", duration_s=0.1, fast=True)[0]
        request = GenerationRequest.from_provenance(clip.provenance)
        same(clip, *micro_model.run(request))

    def test_without_guidance_it_is_the_walk_of_as_many_steps(self, generate):
        (fast,), (plain,) = (generate("rain", guidance=1, fast=fast) for fast in (True, False))
        same(fast, plain)


class TestCandidates:
    def test_the_nearest_to_the_prompt_is_kept(self, generate, micro_model):
        (best,) = generate("rain", candidates=3, seed=2)
        every = [generate("rain", candidate=k, seed=2)[0] for k in range(3)]
        E = micro_model.text.embed(["rain"])[0]
        scores = [float(micro_model.audio.embed(clip.waveform, 16_000) @ E) for clip in every]
        assert best.provenance.candidate == int(np.argmax(scores))
        assert best.score == pytest.approx(max(scores), abs=1e-4)
        same(best, every[best.provenance.candidate])

    def test_every_clip_has_its_own(self, generate):
        clips = generate(["rain", "a dog"], n=2, candidates=3)
        assert [clip.provenance.index for clip in clips] == [0, 1, 2, 3]
        for clip in clips:
            record = clip.provenance
            again = generate(record.prompt, index=record.index, candidate=record.candidate)
            same(again[0], clip)

    def test_a_worse_clip_with_a_negative_score_still_loses(
        self, generate, micro_model, monkeypatch
    ):
        scores = iter([-0.5, -0.1, -0.9])
        E = micro_model.text.embed(["rain"])[0]
        monkeypatch.setattr(micro_model.audio, "embed", lambda x, rate: next(scores) * E)
        (best,) = generate("rain", candidates=3)
        assert best.provenance.candidate == 1
        assert best.score == pytest.approx(-0.1)

    def test_a_silent_one_is_never_kept(self, generate, micro_model, monkeypatch):
        """CLAP may score silence best; it is kept where there is nothing else."""
        scores = iter([0.9, 0.1, 0.8])
        E = micro_model.text.embed(["rain"])[0]
        monkeypatch.setattr(micro_model.audio, "embed", lambda x, rate: next(scores) * E)
        sounds = iter([tone(amplitude=1.1e-3), tone(), np.zeros(16_000, np.float32)])
        monkeypatch.setattr(Model, "_sounds", lambda *_: [next(sounds)])
        (best,) = generate("rain", candidates=3)
        assert best.provenance.candidate == 1
        assert best.score == pytest.approx(0.1)

    def test_alone_it_has_no_score(self, generate):
        assert generate("rain")[0].score is None


class TestProvenance:
    @pytest.mark.parametrize("suffix", ["wav", "flac", "mp3"])
    def test_a_saved_file_says_how_to_make_it_again(self, generate, micro_model, tmp_path, suffix):
        (clip,) = generate(
            "rain @0.5 + a dog @0.5",
            negative_prompt="the sea",
            sampler="ddim",
            eta=0.5,
            guidance=2.25,
            seed=11,
            index=3,
            duration_s=0.125,
        )
        record = read_provenance(clip.save(tmp_path / f"clip.{suffix}"))
        assert record == clip.provenance
        (again,) = micro_model.run(GenerationRequest.from_provenance(record))
        np.testing.assert_array_equal(again.waveform, clip.waveform)
        assert again.provenance.same_sound(record)

    @pytest.mark.parametrize("candidates", [1, 2])
    def test_its_identity_is_that_of_what_was_asked(self, generate, micro_model, candidates):
        request = GenerationRequest.build(
            ["rain", "a dog"], n=2, seed=3, candidates=candidates, duration_s=0.1, steps=2
        )
        for k, clip in enumerate(micro_model.run(request)):
            assert clip.provenance.identity == identity(micro_model.identity, request.clip(k))

    def test_it_names_the_model_and_its_weights(self, generate, micro_model):
        record = generate("rain")[0].provenance
        assert (record.model, record.model_hash) == (micro_model.name, micro_model.weights_hash)
        assert record.ai_generated is True

    def test_the_sound_in_the_file(self, generate, tmp_path):
        (clip,) = generate("rain")
        samples, rate = soundfile.read(clip.save(tmp_path / "clip.wav"))
        assert rate == 16_000
        np.testing.assert_allclose(samples, clip.waveform, atol=2**-15)

    def test_a_picture(self, generate, tmp_path, recording):
        for name, (clip,) in {"a": generate("rain"), "b": generate(audio_prompt=recording)}.items():
            path = clip.plot(tmp_path / "new folder" / f"{name}.png")
            assert path.read_bytes()[:4] == b"\x89PNG"

    def test_samples_that_are_no_numbers_are_the_models_fault(self, micro_model, monkeypatch):
        def diverged(vocoder, log_mel):
            return torch.full((1, log_mel.shape[2] * 160), torch.nan)

        monkeypatch.setattr(type(micro_model.vocoder), "forward", diverged)
        with pytest.raises(ModelError, match="NaN, infinite or beyond all sound"):
            micro_model.generate("rain", duration_s=0.2, steps=1)


class TestRunning:
    def test_progress_counts_every_step_of_every_batch(self, micro_model, monkeypatch):
        monkeypatch.setattr(Model, "batch_size", 2)
        request = GenerationRequest.build("rain", n=3, steps=4, duration_s=0.1)
        seen = []
        clips = list(micro_model.run(request, lambda done, total: seen.append((done, total))))
        assert len(clips) == 3
        assert seen == [(done, 8) for done in range(1, 9)]

    def test_clips_come_as_soon_as_they_are_done(self, micro_model, monkeypatch):
        monkeypatch.setattr(Model, "batch_size", 1)
        request = GenerationRequest.build("rain", n=3, steps=2, duration_s=0.1)
        seen = []
        next(micro_model.run(request, lambda done, total: seen.append(done)))
        assert seen == [1, 2]

    def test_the_global_random_state_is_neither_used_nor_touched(self, generate):
        torch.manual_seed(0)
        before = torch.random.get_rng_state()
        (first,) = generate("rain", sampler="ddpm")
        assert torch.equal(torch.random.get_rng_state(), before)
        torch.manual_seed(1)
        same(generate("rain", sampler="ddpm")[0], first)

    def test_nothing_asks_for_gradients(self, micro_model):
        assert not micro_model.embed([("rain", 1.0)]).requires_grad

    def test_a_wrong_option_is_refused_before_any_work(self, micro_model):
        with pytest.raises(InputError, match="unknown option 'lenght'"):
            micro_model.generate("rain", lenght=3)


def test_a_latent_of_the_default_model():
    assert latent_shape(163_840, ModelConfig()) == (8, 256, 16)


def test_a_noise_recording_is_no_silence(generate, tmp_path):
    soundfile.write(tmp_path / "noise.wav", np.stack([noise(0.3)] * 2, axis=1), 44_100)
    assert len(generate(audio_prompt=tmp_path / "noise.wav")) == 1
