"""Finished runs → one model folder: whole, loadable everywhere, or not there."""

import shutil

import numpy as np
import pytest

import latentfoley
from latentfoley.errors import RecipeError
from latentfoley.training.export import PARTS, export_model


@pytest.fixture
def runs(micro_model_folder, tmp_path):
    """Runs as training leaves them."""
    for run, parts in PARTS.items():
        for part in parts:
            shutil.copytree(micro_model_folder / part, tmp_path / "runs" / run / "model" / part)
    return tmp_path / "runs"


def test_the_folder_is_the_model(runs, tmp_path, micro_model):
    size = export_model(runs, tmp_path / "out", half=False)
    assert size == sum(f.stat().st_size for f in (tmp_path / "out").rglob("*") if f.is_file())
    model = latentfoley.load(tmp_path / "out", device="cpu")
    assert model.config == micro_model.config
    assert model.weights_hash == micro_model.weights_hash
    request = {"duration_s": 0.1, "steps": 2}
    (ours,), (theirs,) = model.generate("rain", **request), micro_model.generate("rain", **request)
    np.testing.assert_array_equal(ours.waveform, theirs.waveform)


def test_half_precision_is_half_the_size_and_loads(runs, tmp_path):
    whole = export_model(runs, tmp_path / "whole", half=False)
    assert export_model(runs, tmp_path / "half", half=True) < 0.75 * whole
    model = latentfoley.load(tmp_path / "half", device="cpu")
    (clip,) = model.generate("rain", duration_s=0.1, steps=2, candidates=2)
    assert np.isfinite(clip.waveform).all()


@pytest.mark.parametrize("run", PARTS)
def test_an_unfinished_run_is_named_and_nothing_is_left(runs, tmp_path, run):
    shutil.rmtree(runs / run)
    with pytest.raises(RecipeError, match=f"is missing: has `latentfoley train {run}` finished"):
        export_model(runs, tmp_path / "out", half=False)
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


def test_what_is_there_is_not_overwritten(runs, tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(RecipeError, match="exists already; give the name of a new folder"):
        export_model(runs, tmp_path / "out", half=False)
