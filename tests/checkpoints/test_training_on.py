"""A published checkpoint is trained on like any other model: encode, train, export."""

import shutil

import pytest
import torch

import latentfoley
from latentfoley.errors import ModelError
from latentfoley.loading import open_model
from latentfoley.training.diffusion import DiffusionTask
from latentfoley.training.diffusion_recipe import DiffusionRecipe
from latentfoley.training.export import export_model
from latents import encode_folder
from tasks import run_recipe


@pytest.fixture
def offline_tokenizer(monkeypatch, tokenizer):
    """What a checkpoint file lacks would be fetched from the hub."""
    monkeypatch.setattr("latentfoley.loading.fetch_tokenizer", lambda given: given or tokenizer)


@pytest.mark.usefixtures("offline_tokenizer")
@pytest.mark.parametrize("lora", [None, {"rank": 2}])
def test_from_the_file_of_the_authors(small_ckpt, recordings, tmp_path, lora):
    latents = encode_folder(recordings.parent, tmp_path / "encoded", small_ckpt)
    values = {
        "run": run_recipe(tmp_path / "run"),
        "data": {"latents": latents},
        "start": str(small_ckpt),
    }
    chosen = values | ({"lora": lora} if lora else {})
    task = DiffusionTask(DiffusionRecipe.parse(chosen, where="test"), torch.device("cpu"))
    task.step(0)
    task.export(tmp_path / "run" / "model")
    export_model(tmp_path / "run", tmp_path / "out")
    model = latentfoley.load(tmp_path / "out", device="cpu")
    assert model.config.unet == open_model(str(small_ckpt)).unet.config
    assert model.generate("rain", duration_s=0.1, steps=1, candidates=2)


def test_a_folder_without_an_audio_tower_says_where_one_is(micro_model_folder, tmp_path):
    folder = shutil.copytree(micro_model_folder, tmp_path / "published")
    shutil.rmtree(folder / "audio_encoder")
    values = {"run": run_recipe(tmp_path), "data": {"latents": tmp_path}, "start": str(folder)}
    with pytest.raises(ModelError, match=r"no CLAP audio tower .*latentfoley models convert"):
        DiffusionTask(DiffusionRecipe.parse(values, where="test"), torch.device("cpu"))
