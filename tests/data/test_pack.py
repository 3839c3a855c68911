"""Recordings → clips: laws of cutting, naming and holding out."""

import re

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from folders import sound, write
from latentfoley.audio import read_audio
from latentfoley.data.folder import Found, find_recordings
from latentfoley.data.metadata import Metadata
from latentfoley.data.pack import Task, pack
from latentfoley.data.shard_files import read_record
from latentfoley.data.shards import Settings, read_shard
from signals import chirp, noise, tone

NOTHING = Metadata()


@pytest.fixture
def packed(tmp_path):
    """Return a function that packs what is in `tmp_path/in`: the record, and clips with samples."""

    def packed(metadata=NOTHING, **settings):
        folder, out = tmp_path / "in", tmp_path / "out"
        found = tuple((name, metadata) for name in find_recordings(folder))
        out.mkdir(exist_ok=True)
        chosen = Settings(folder=str(folder), layout="plain", **settings)
        assert pack(Task(str(out), 0, 0, found, chosen)) == len(found)
        record = read_record(out, 0)
        shard = out / "shard-000000.tar"
        return record, list(read_shard(shard)) if record.clips else []

    return packed


class TestPieces:
    @settings(max_examples=25, deadline=None)
    @given(n_samples=st.integers(160, 40_000), piece_s=st.sampled_from([1.0, 1.5]))
    def test_they_are_the_recording_cut_evenly(self, tmp_path_factory, n_samples, piece_s):
        folder = tmp_path_factory.mktemp("piece")
        steps = np.random.default_rng(0).integers(-(2**14), 2**14, n_samples).astype(np.int16)
        soundfile.write(folder / "a.wav", steps, 8000)
        chosen = Settings(folder=str(folder), layout="plain", sample_rate=8000, piece_s=piece_s)
        pack(Task(str(folder), 0, 0, ((Found("a.wav"), Metadata()),), chosen))
        clips = list(read_shard(folder / "shard-000000.tar"))
        whole = np.concatenate([samples for _, samples in clips])
        np.testing.assert_array_equal(whole, steps / np.float32(2**15))
        starts = np.cumsum([0, *(len(samples) for _, samples in clips)])[:-1] / 8000
        assert [clip.start_s for clip, _ in clips] == pytest.approx(list(starts))
        if len(clips) > 1:
            lengths = [clip.duration_s for clip, _ in clips]
            assert min(lengths) >= piece_s / 2 and max(lengths) <= 1.5 * piece_s

    def test_a_short_one_is_what_a_reader_gives(self, packed, tmp_path):
        stereo = np.stack([tone(sample_rate=44_100), chirp(sample_rate=44_100)], axis=1)
        sound(tmp_path / "in/a.wav", stereo, 44_100)
        ((clip, samples),) = packed(sample_rate=16_000)[1]
        expected = read_audio(tmp_path / "in/a.wav", sample_rate=16_000).waveform
        np.testing.assert_allclose(samples, expected, atol=2**-16)
        assert (clip.original_sample_rate, clip.original_channels) == (44_100, 2)
        assert clip.duration_s == 1.0

    def test_what_is_too_loud_is_turned_down_and_says_so(self, packed, tmp_path):
        (tmp_path / "in").mkdir()
        soundfile.write(tmp_path / "in/a.wav", 4 * noise(), 16_000, "FLOAT")
        ((clip, samples),) = packed()[1]
        assert np.abs(samples).max() == pytest.approx(0.999, abs=1e-3)
        assert clip.gain == pytest.approx(0.999 / 2, abs=1e-3)


class TestSkipped:
    def test_what_is_broken_or_silent_is_listed(self, packed, tmp_path):
        sound(tmp_path / "in/good.wav")
        sound(tmp_path / "in/silent.wav", np.zeros(8000))
        sound(tmp_path / "in/tiny.wav", noise()[:10])
        write(tmp_path / "in/text.wav", "hello")
        record, clips = packed()
        assert [clip.path for clip, _ in clips] == ["good.wav"]
        reasons = dict(record.skipped)
        assert sorted(reasons) == ["silent.wav", "text.wav", "tiny.wav"]
        assert "is silent" in reasons["silent.wav"]
        assert "too short: 10 samples" in reasons["tiny.wav"]

    def test_what_comes_before_the_damage_is_kept(self, packed, tmp_path):
        sound(tmp_path / "in/a.flac", noise(40.0))
        whole = (tmp_path / "in/a.flac").read_bytes()
        (tmp_path / "in/a.flac").write_bytes(whole[: len(whole) * 2 // 3])
        record, clips = packed(piece_s=1.0)
        assert 10 <= len(clips) <= 26
        assert "cut short" in record.skipped[0].reason

    def test_nothing_but_broken_files(self, packed, tmp_path):
        write(tmp_path / "in/text.wav", "hello")
        record, clips = packed()
        assert (clips, record.n_bytes) == ([], 0)


class TestSplit:
    def test_copies_and_pieces_stay_together(self, packed, tmp_path):
        for k in range(20):
            for name in ("a", "b"):
                sound(tmp_path / f"in/{name}{k}.wav", noise(3.2, seed=k))
        record, _ = packed(held_out=0.5, piece_s=1.0)
        splits = {}
        for clip in record.clips:
            splits.setdefault(clip.path[1:], set()).add(clip.split)
        assert all(len(both) == 1 for both in splits.values())
        assert len({frozenset(both) for both in splits.values()}) == 2

    def test_clips_of_one_source_stay_together(self, packed, tmp_path):
        for k in range(10):
            sound(tmp_path / f"in/{k}.wav")
        record, _ = packed(Metadata(source_url="https://example.org/7"), held_out=0.5)
        assert len({clip.split for clip in record.clips}) == 1

    @pytest.mark.parametrize("split", ["train", "valid"])
    def test_what_is_decided_stands(self, packed, tmp_path, split):
        for k in range(10):
            sound(tmp_path / f"in/{k}.wav")
        record, _ = packed(Metadata(split=split), held_out=0.5)
        assert {clip.split for clip in record.clips} == {split}

    def test_the_share_is_about_what_was_asked_for(self, packed, tmp_path):
        for k in range(300):
            sound(tmp_path / f"in/{k}.wav", noise(0.02, seed=k))
        record, _ = packed(held_out=0.2)
        assert 35 <= sum(clip.split == "valid" for clip in record.clips) <= 85  # 60 ± 3.6 σ


def test_keys_are_plain_and_unlike_each_other(packed, tmp_path):
    names = ["a.b.c.wav", "a.b.c.flac", "雨.wav", "x" * 200 + ".wav", "../q.wav", " -.wav"]
    for name in names:
        sound(tmp_path / "in" / name.removeprefix("../"))
    record, _ = packed()
    keys = [clip.key for clip in record.clips]
    assert len(set(keys)) == len(names)
    assert all(re.fullmatch(r"\d{8}(-[a-z0-9]+)*", key) for key in keys)
