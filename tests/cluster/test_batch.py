"""The whole of `latentfoley batch`: by Ray, in processes of its own."""

import json
import subprocess
import sys

import numpy as np
import pytest

import latentfoley
from latentfoley.data.shards import read_shard
from latentfoley.errors import InputError, MissingExtraError

SETTINGS = {"steps": 2, "duration_s": 0.3}


@pytest.fixture
def manifest(tmp_path, recordings):
    """Five rows, of which one fails."""
    rows = [{"id": f"g{k}", "prompt": "rain", "seed": k, **SETTINGS} for k in range(3)]
    source = str(recordings.parent / "noise.wav")
    rows.append({"id": "edit", "edit": "vary", "source": source, "steps": 2})
    rows.append({"id": "bad", "prompt": "rain", "steps": 0})
    path = tmp_path / "manifest.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def run(manifest, out, model, *options):
    words = ["batch", str(manifest), "--out", str(out), "--model", str(model), "--json"]
    command = [sys.executable, "-m", "latentfoley", *words, "--rows-per-shard", "2", *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_rows_are_made_once_and_equal_to_those_of_one_process(
    manifest, micro_model_folder, micro_model, tmp_path, recordings
):
    parquet = pytest.importorskip("pyarrow.parquet")
    pytest.importorskip("ray")
    out = tmp_path / "out"
    first = run(manifest, out, micro_model_folder, "--workers", "2", "--device", "cpu")
    assert first.stderr == ""
    done = json.loads(first.stdout)
    assert (done["n_rows"], done["n_made"], done["n_failed"]) == (5, 4, 1)
    assert first.returncode == 1  # a script must see that a row failed

    rows = parquet.read_table(out / "results").sort_by("row").to_pylist()
    assert [row["id"] for row in rows] == ["g0", "g1", "g2", "edit", "bad"]
    assert [bool(row["reason"]) for row in rows] == [False] * 4 + [True]
    sounds = [x for shard in sorted(out.glob("*.tar")) for _, x in read_shard(shard)]
    alone = [micro_model.generate("rain", seed=k, **SETTINGS)[0] for k in range(3)]
    alone += micro_model.edit("vary", recordings.parent / "noise.wav", steps=2)
    for sound, clip, row in zip(sounds, alone, rows, strict=False):
        assert np.array_equal(sound, np.rint(clip.waveform * 2.0**15) / 2.0**15)
        assert row["identity"] == clip.provenance.identity

    again = run(manifest, out, micro_model_folder, "--device", "cpu")
    assert json.loads(again.stdout)["n_made"] == 0

    other = run(manifest, out, "tiny")
    assert other.returncode == 2
    said = f"begun with other settings: model was {micro_model_folder}, now tiny."
    assert said in other.stderr


def test_without_ray_it_says_how_to_install_it(manifest, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'latentfoley\[ray\]'"):
        latentfoley.batch(manifest, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("n", [0, 10_001])
def test_a_shard_has_a_number_of_rows(manifest, tmp_path, n):
    with pytest.raises(InputError, match="allowed: 1 to 10,000"):
        latentfoley.batch(manifest, tmp_path / "out", rows_per_shard=n)
