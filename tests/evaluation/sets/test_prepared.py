"""What `data prepare` wrote is a reference set: its held-out clips, to the sample."""

import json

import numpy as np
import pytest
import soundfile

from latentfoley.data.prepare import prepare
from latentfoley.errors import InputError, RecipeError
from latentfoley.evaluation.sets.choose import as_set
from signals import noise, tone


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    rows = ["file,caption,label,split"]
    (tmp_path / "sounds").mkdir()
    for k in range(6):
        sound = noise(0.3, seed=k) if k % 2 else tone(200 * (k + 1), 0.3)
        soundfile.write(tmp_path / f"sounds/{k}.wav", sound, 16_000)
        caption = "" if k == 5 else f"sound {k}"
        rows.append(f"{k}.wav,{caption},Kind {k % 2},{'test' if k > 2 else 'train'}")
    (tmp_path / "sounds/table.csv").write_text("\n".join(rows) + "\n")
    prepare(tmp_path / "sounds", tmp_path / "prepared", workers=1)
    return tmp_path / "prepared"


def test_the_held_out_clips_with_captions_and_kinds(prepared, tmp_path):
    found = as_set(prepared)
    assert [clip.caption for clip in found.clips] == ["sound 3", "sound 4", "a sound of kind 1"]
    assert [clip.label for clip in found.clips] == ["Kind 1", "Kind 0", "Kind 1"]
    assert found.about["split"] == "held out"
    assert found.about["clips"] == "3 of 6"
    for clip, k in zip(found.clips, (3, 4, 5), strict=True):
        there, rate = soundfile.read(clip.path, dtype="int16")
        expected = soundfile.read(tmp_path / f"sounds/{k}.wav", dtype="int16")[0]
        assert rate == 16_000
        np.testing.assert_array_equal(there, expected)


def test_its_manifest_is_the_same_set_and_nothing_is_unpacked_twice(prepared):
    found = as_set(prepared)
    times = [clip.path.stat().st_mtime_ns for clip in found.clips]
    assert as_set(prepared / "manifest.jsonl").clips == found.clips
    assert [clip.path.stat().st_mtime_ns for clip in found.clips] == times


def test_damage_is_found(prepared):
    shard = next(prepared.glob("*.tar"))
    data = bytearray(shard.read_bytes())
    data[len(data) // 3] ^= 1
    shard.write_bytes(data)
    with pytest.raises(RecipeError, match="is damaged"):
        as_set(prepared)


def test_no_clip_leads_out_of_the_cache(prepared):
    manifest = prepared / "manifest.jsonl"
    lines = [json.loads(line) for line in manifest.read_text().splitlines()]
    manifest.write_text("".join(json.dumps(line | {"key": "../x"}) + "\n" for line in lines))
    with pytest.raises(InputError, match="leads out of the data set"):
        as_set(prepared)
