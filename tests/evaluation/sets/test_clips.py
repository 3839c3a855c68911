"""Folders and manifests become sets; what is no set is refused by name."""

import shutil

import pytest

from latentfoley.audio import write_audio
from latentfoley.data.metadata import Entry, write_manifest
from latentfoley.errors import AudioFileError, InputError
from latentfoley.evaluation.sets.choose import as_set, limit_as
from latentfoley.evaluation.sets.clips import Clip, ClipSet, list_clips, pairs
from latentfoley.provenance import Provenance
from signals import noise


def keys(clips):
    return [clip.key for clip in clips]


def test_a_folder_is_searched_and_sorted(sets, tmp_path):
    made, _ = sets
    (made / "more").mkdir()
    shutil.copy(made / "00.wav", made / "more" / "x.wav")
    (made / ".hidden.wav").write_bytes(b"x")
    (made / "notes.txt").write_text("x")
    assert keys(list_clips(made)) == [*(f"{k:02d}" for k in range(24)), "more/x"]


def test_captions_come_from_a_manifest(sets):
    made, _ = sets
    entries = [Entry(path=f"{k:02d}.wav", captions=(f"sound {k}", "other")) for k in range(3)]
    write_manifest(made / "m.jsonl", entries)
    clips = list_clips(made / "m.jsonl")
    assert keys(clips) == ["00", "01", "02"]
    assert [clip.caption for clip in clips] == ["sound 0", "sound 1", "sound 2"]


def test_captions_come_from_the_prompts_that_files_carry(tmp_path):
    record = Provenance(
        prompt="rain", seed=1, sampler="ddim", spacing="uniform", steps=2, eta=0.0, guidance=3.0,
        duration_s=0.1, model="tiny", model_hash="0" * 16,
    ).to_record()  # fmt: skip
    for name in ("a", "b"):
        write_audio(tmp_path / f"{name}.wav", noise(0.1), 16_000, provenance=record)
    assert [clip.caption for clip in list_clips(tmp_path)] == ["rain", "rain"]


class TestLimit:
    """So many clips, of every kind as many."""

    @staticmethod
    def made(tmp_path, keys):
        return ClipSet(tmp_path, tuple(Clip(key, tmp_path, "") for key in sorted(keys)))

    def test_folders_take_turns(self, tmp_path):
        every = self.made(tmp_path, [f"{kind}/{k}" for kind in "abc" for k in range(4)])
        for limit in range(2, 13):
            drawn = [clip.kind for clip in as_set(every, limit).clips]
            counts = [drawn.count(kind) for kind in "abc"]
            assert sum(counts) == limit
            assert max(counts) - min(counts) <= 1

    def test_labels_take_turns_in_a_flat_folder(self, tmp_path):
        clips = tuple(Clip(f"{k}", tmp_path, "", "ab"[k // 3]) for k in range(6))
        assert [clip.label for clip in as_set(ClipSet(tmp_path, clips), 4).clips] == [*"aabb"]

    def test_a_set_without_kinds_gives_its_first(self, tmp_path):
        assert keys(as_set(self.made(tmp_path, "edcba"), 3).clips) == ["a", "b", "c"]

    def test_pairs_stay_pairs_where_only_one_set_says_its_kinds(self, tmp_path):
        labelled = ClipSet(tmp_path, tuple(Clip(k, tmp_path, "", k) for k in "fedcba"))
        plain = as_set(self.made(tmp_path, "abcdef"), 3)
        assert pairs(plain.clips, limit_as(labelled, plain, 3).clips) == (True, "")


def test_equal_names_are_pairs_whatever_the_format(sets):
    made, real = (list_clips(folder) for folder in sets)
    assert pairs(made, real) == (True, "")
    together, said = pairs(made[:5], real[3:])
    assert not together
    assert "2 are in both, 3 only generated, 19 only reference" in said


class TestRefused:
    def test_no_folder(self, sets):
        with pytest.raises(InputError, match="Nearest there: made"):
            list_clips(sets[0].parent / "mde")

    def test_an_empty_folder(self, tmp_path):
        with pytest.raises(InputError, match="holds no recordings"):
            list_clips(tmp_path)

    def test_one_clip(self, tmp_path):
        write_audio(tmp_path / "a.wav", noise(0.1), 16_000, provenance=None)
        with pytest.raises(InputError, match="one recording"):
            list_clips(tmp_path)

    def test_files_that_cannot_be_read_are_all_named(self, sets):
        for name in ("03.wav", "05.wav"):
            (sets[0] / name).write_bytes(b"not a recording")
        with pytest.raises(AudioFileError, match=r"(?s)2 of the files.*03\.wav.*05\.wav"):
            list_clips(sets[0])

    def test_two_files_of_one_name(self, sets):
        write_audio(sets[0] / "00.flac", noise(0.1), 16_000, provenance=None)
        with pytest.raises(InputError, match="which counts"):
            list_clips(sets[0])

    def test_a_limit_of_one(self, sets):
        with pytest.raises(InputError, match="limit"):
            as_set(sets[0], 1)
