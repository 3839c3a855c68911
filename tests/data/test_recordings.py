"""Recordings in memory: what a batch depends on, and what a crop is."""

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from latentfoley.data.metadata import Entry, write_manifest
from latentfoley.data.recordings import Clip, crop, crops, generator, load_clips
from latentfoley.errors import RecipeError
from signals import chirp, click, noise, tone

CLIPS = [
    Clip(waveform, (), (), name)
    for name, waveform in {"tone": tone(), "chirp": chirp(), "short": noise(0.05)}.items()
]


class TestCrops:
    @settings(max_examples=30, deadline=None)
    @given(seed=st.integers(0, 2**32), step=st.integers(0, 2**32))
    def test_a_batch_depends_on_seed_and_step_alone(self, seed, step):
        first, second = (crops(CLIPS, 1600, 4, generator(seed, step)) for _ in range(2))
        np.testing.assert_array_equal(first, second)
        for other in (generator(seed + 1, step), generator(seed, step + 1)):
            assert not np.array_equal(crops(CLIPS, 1600, 4, other), first)

    def test_shape_and_level(self):
        batch = crops(CLIPS, 1600, 64, generator(0, 0))
        assert batch.shape == (64, 1600)
        assert batch.dtype == np.float32
        peaks_db = 20 * np.log10(np.abs(batch).max(axis=1))
        assert peaks_db.min() >= -20.1 and peaks_db.max() <= 0.1
        assert peaks_db.max() - peaks_db.min() > 15

    @settings(max_examples=50, deadline=None)
    @given(length=st.integers(1, 4000), n_samples=st.integers(1, 4000), seed=st.integers(0, 99))
    def test_a_crop_has_the_length_asked_for(self, length, n_samples, seed):
        piece = crop(noise(0.25)[:length], n_samples, generator(seed, 0))
        assert piece.shape == (n_samples,)
        assert np.abs(piece).max() <= 0.5 + 1e-6

    @pytest.mark.parametrize("seed", range(5))
    def test_a_short_clip_is_kept_whole_in_silence(self, seed):
        short = noise(0.01)
        piece = crop(short, 1600, generator(seed, 0))
        (where,) = piece.nonzero()
        assert where[-1] - where[0] < len(short)
        assert np.abs(piece).max() == pytest.approx(0.5, rel=1e-4)

    def test_a_short_clip_moves(self):
        starts = {crop(noise(0.01), 1600, generator(s, 0)).nonzero()[0][0] for s in range(9)}
        assert len(starts) > 5

    def test_silence_is_avoided(self):
        half_silent = np.concatenate([np.zeros(16_000, np.float32), tone()])
        pieces = [crop(half_silent, 1600, generator(seed, 0)) for seed in range(30)]
        assert sum(np.abs(piece).max() < 1e-3 for piece in pieces) == 0

    def test_a_silent_clip_is_a_silent_crop(self):
        assert not crop(np.zeros(16_000, np.float32), 1600, generator(0, 0)).any()

    def test_a_crop_does_not_change_the_clip(self):
        waveform = click()
        crop(waveform, 1600, generator(0, 0))
        np.testing.assert_array_equal(waveform, click())


class TestLoading:
    def test_every_recording_of_a_split(self, recordings):
        clips = load_clips(recordings, recordings.parent, "train", 16_000)
        assert [clip.path for clip in clips] == ["tone.wav", "chirp.wav", "noise.wav"]
        assert clips[0].captions == ("a tone", "the tone")
        (held_out,) = load_clips(recordings, recordings.parent, "valid", 16_000)
        assert held_out.labels == ("click",)

    def test_at_the_rate_asked_for(self, recordings):
        clips = load_clips(recordings, recordings.parent, "train", 8000)
        assert [len(clip.waveform) for clip in clips] == [8000, 12_000, 5600]

    def test_all_broken_files_are_listed(self, tmp_path):
        soundfile.write(tmp_path / "good.wav", tone(), 16_000)
        (tmp_path / "text.wav").write_text("hello")
        names = ["good.wav", "text.wav", "missing.wav"]
        write_manifest(tmp_path / "m.jsonl", [Entry(path=name) for name in names])
        with pytest.raises(RecipeError, match=r"(?s)2 recordings cannot.*text\.wav.*missing\.wav"):
            load_clips(tmp_path / "m.jsonl", tmp_path, "train", 16_000)

    def test_an_empty_split(self, tmp_path):
        write_manifest(tmp_path / "m.jsonl", [Entry(path="a.wav", split="valid")])
        with pytest.raises(RecipeError, match="has no recordings in split 'train'"):
            load_clips(tmp_path / "m.jsonl", tmp_path, "train", 16_000)
