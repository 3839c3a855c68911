"""What trainings leave is put into a model, part by part; what they did not touch stays."""

import csv
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from latentfoley.checkpoints.parts import open_folder, write_folder
from latentfoley.loading import find_folder, require_fit

sys.path.insert(0, str(Path(__file__).parents[2] / "recipes" / "tiny"))

import assemble

STAGES = Path(assemble.__file__).parent / "stages"
committed = pytest.mark.skipif(not STAGES.is_dir(), reason="a source archive has no stages")


def test_the_parts_that_a_stage_holds_are_taken(micro_model_folder, tmp_path):
    base = open_folder(micro_model_folder)
    write_folder(base, tmp_path / "stage")
    for part in ("vae", "vocoder", "audio_encoder"):
        (tmp_path / "stage" / part).rename(tmp_path / part)
    made = assemble.with_stage(base, tmp_path / "stage")
    assert made.unet.where != base.unet.where
    assert (made.vae, made.vocoder, made.audio) == (base.vae, base.vocoder, base.audio)


def test_of_a_text_tower_what_was_trained_is_enough(micro_model_folder, tmp_path):
    base = open_folder(micro_model_folder)
    write_folder(base, tmp_path / "stage")
    name = next(name for name in base.text.weights if name.startswith("text_projection"))
    other = base.text.weights[name] + 1
    save_file({name: other}, tmp_path / "stage" / "text_encoder" / "model.safetensors")
    made = assemble.with_stage(base, tmp_path / "stage").text.weights
    assert torch.equal(made[name], other)
    assert made.keys() == base.text.weights.keys()
    assert all(torch.equal(made[key], base.text.weights[key]) for key in made if key != name)


@committed
def test_the_committed_stages_fit_the_embedded_model():
    require_fit(assemble.with_stage(open_folder(find_folder("tiny")), STAGES))


@committed
def test_every_recording_behind_the_stages_is_free():
    with (STAGES / "ATTRIBUTION.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) > 3000
    assert {row["licence"] for row in rows} <= {
        *("CC0", "CC-BY", "CC-BY-3.0", "CC-BY-4.0", "MIT", "PD"),
    }
    assert all(row["author"] for row in rows if row["licence"].startswith("CC-BY"))
