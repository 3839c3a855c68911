"""What a scan says about a folder: everything that is there, and everything that is wrong."""

import numpy as np
import pytest
import soundfile

from folders import sound, write
from latentfoley.data.scan import Scan, scan
from latentfoley.errors import InputError
from signals import noise, tone


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with one of each."""
    folder = tmp_path_factory.mktemp("recordings")
    sound(folder / "good.wav", tone(duration_s=1))
    channels = [noise(2.0, 44_100, seed=seed) for seed in range(2)]
    sound(folder / "deep/stereo.flac", np.stack(channels, axis=1), 44_100)
    sound(folder / "copy.wav", tone(duration_s=1))
    sound(folder / "silent.wav", np.zeros(8000))
    sound(folder / "clipped.wav", np.ones(8000))
    write(folder / "text.wav", "hello")
    write(folder / "empty.ogg", "")
    write(folder / "good.txt", "a tone\n")
    write(folder / "LICENSE", "CC0-1.0\n")
    soundfile.write(folder / "short.flac", noise(5.0), 16_000)
    whole = (folder / "short.flac").read_bytes()
    (folder / "short.flac").write_bytes(whole[:-1000])
    return folder


@pytest.fixture(scope="module")
def found(folder):
    return scan(folder, workers=1)


def test_what_is_there(found):
    assert (found.n_recordings, found.captioned, found.labelled) == (5, 1, 0)
    assert found.total_s == pytest.approx(1 + 2 + 1 + 0.5 + 0.5)
    assert (found.shortest_s, found.longest_s) == (0.5, 2.0)
    assert found.sample_rates == {"16000": 4, "44100": 1}
    assert found.channels == {"1": 4, "2": 1}
    assert found.kinds == {"WAV PCM_16": 4, "FLAC PCM_16": 1}
    assert found.licences == {"CC0-1.0": 5}
    assert (found.layout, found.tables) == ("plain", ())


def test_what_is_wrong(found):
    assert found.silent == ("silent.wav",)
    assert found.clipped == ("clipped.wav",)
    assert found.duplicates == (("good.wav", "copy.wav"),)
    reasons = dict(found.broken)
    assert sorted(reasons) == ["empty.ogg", "short.flac", "text.wav"]
    assert "0 bytes" in reasons["empty.ogg"]
    assert "is not a recording" in reasons["text.wav"]
    assert "cut short" in reasons["short.flac"]


def test_what_is_strange(tmp_path):
    sound(tmp_path / "good.wav", tone())
    sound(tmp_path / "cancels.wav", np.stack([tone(), -tone()], axis=1))
    sound(tmp_path / "quiet.wav", np.stack([1e-4 * tone(), -1e-4 * tone()], axis=1))
    spike = tone()
    spike[100] = 1e29
    soundfile.write(tmp_path / "spike.wav", spike, 16_000, subtype="FLOAT")
    soundfile.write(tmp_path / "scale.wav", 32_768 * tone(), 16_000, subtype="FLOAT")
    for name in ("a.mpc", "a.dsf", "a.ra", "a.M4A"):
        write(tmp_path / name, "something")
    found = scan(tmp_path, workers=1)
    reasons, remarks = dict(found.broken), dict(found.remarks)
    assert found.n_recordings == 3
    assert found.silent == ("quiet.wav",)
    assert "cancel each other" in reasons.pop("cancels.wav")
    assert "no sound has" in reasons.pop("spike.wav")
    assert sorted(reasons) == ["a.M4A", "a.dsf", "a.mpc", "a.ra"]
    assert list(remarks) == ["scale.wav"] and "integers" in remarks["scale.wav"]


def test_histograms_count_everything_once(found):
    assert sum(found.durations.values()) == found.n_recordings
    assert sum(found.levels.values()) == found.n_recordings - len(found.silent)
    assert list(found.durations) == sorted(found.durations)
    assert found.durations[max(found.durations)] == 1


def test_it_does_not_depend_on_the_processes(folder, found):
    seen = []
    assert scan(folder, workers=2, progress=lambda *n: seen.append(n)) == found
    assert seen == [(8, 8)]


def test_it_is_what_its_json_says(found):
    assert Scan.model_validate_json(found.model_dump_json()) == found


def test_nothing_but_broken_files(tmp_path):
    write(tmp_path / "a.wav", "hello")
    found = scan(tmp_path, workers=1)
    assert (found.n_recordings, found.shortest_s, found.durations) == (0, 0, {})
    assert len(found.broken) == 1
    assert Scan.model_validate_json(found.model_dump_json()) == found


def test_a_bad_table_does_not_stop_it(tmp_path):
    sound(tmp_path / "a.wav")
    write(tmp_path / "t.jsonl", "{")
    assert [fault.path for fault in scan(tmp_path, workers=1).broken] == ["t.jsonl:1"]


@pytest.mark.parametrize("name", ["notes.txt", None])
def test_no_recordings(tmp_path, name):
    if name:
        write(tmp_path / name, "hello")
    with pytest.raises(InputError, match=r"holds no recordings: no file in it ends in .wav"):
        scan(tmp_path)
