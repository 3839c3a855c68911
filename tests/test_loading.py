"""A name, a folder or a hub id → a model, or an error that says what was given."""

import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

import latentfoley
from latentfoley.checkpoints.tensors import hash_weights
from latentfoley.errors import ModelError
from latentfoley.loading import find_folder
from latentfoley.pipeline import Model
from micro import FRONT_END, UNET, VAE, VOCODER


class TestLoad:
    def test_every_part_is_read(self, micro_model):
        config = micro_model.config
        assert (config.unet, config.vae, config.vocoder) == (UNET, VAE, VOCODER)
        assert micro_model.audio.front_end == FRONT_END
        assert micro_model.device == torch.device("cpu")

    def test_nothing_is_left_in_training_mode(self, micro_model):
        parts = (micro_model.unet, micro_model.vae, micro_model.vocoder, micro_model.text.model)
        assert not any(part.training for part in (*parts, micro_model.audio.model))

    @pytest.mark.parametrize("part", ["unet", "vae", "vocoder", "scheduler", "text_encoder"])
    def test_a_folder_without_a_part(self, micro_model_folder, tmp_path, part):
        folder = shutil.copytree(micro_model_folder, tmp_path / "model")
        shutil.rmtree(folder / part)
        with pytest.raises(ModelError, match=f"{part}.* is missing: .*not a complete model folder"):
            latentfoley.load(folder)

    def test_a_published_folder_has_no_audio_tower_and_generates(
        self, micro_model_folder, tmp_path
    ):
        folder = shutil.copytree(micro_model_folder, tmp_path / "model")
        for extra in ("audio_encoder", "feature_extractor"):
            shutil.rmtree(folder / extra)
        (folder / "latentfoley.json").unlink()
        model = latentfoley.load(folder)
        assert isinstance(model, Model)
        assert len(model.generate("rain", duration_s=0.1, steps=1)) == 1
        with pytest.raises(ModelError, match="no CLAP audio tower"):
            model.generate("rain", duration_s=0.1, steps=1, candidates=2)


class TestNames:
    def test_a_file_is_no_folder(self, tmp_path):
        (tmp_path / "model.ckpt").touch()
        with pytest.raises(ModelError, match="is a file; a model is a folder"):
            find_folder(str(tmp_path / "model.ckpt"))

    @pytest.mark.parametrize("name", ["tinny", "", "./nowhere", "/no/where", "a/b/c", "~/nowhere"])
    def test_a_name_that_is_none(self, name):
        with pytest.raises(
            ModelError, match=f"there is no model '{name}': give a folder, a hub id"
        ):
            find_folder(name)

    def test_the_nearest_name_is_offered(self):
        with pytest.raises(ModelError, match="Did you mean 'tiny'"):
            find_folder("tinny")

    def test_the_hub_out_of_reach(self, monkeypatch):
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        with pytest.raises(ModelError, match=r"'nobody/nothing' could not be fetched .* 'tiny'"):
            find_folder("nobody/nothing")


class TestHash:
    def test_it_is_of_the_weights_not_of_the_place(self, micro_model, micro_model_folder, tmp_path):
        folder = shutil.copytree(micro_model_folder, tmp_path / "elsewhere")
        assert hash_weights(folder) == micro_model.weights_hash

    def test_every_weight_counts(self, micro_model, micro_model_folder, tmp_path):
        folder = shutil.copytree(micro_model_folder, tmp_path / "other")
        file = folder / "audio_encoder" / "model.safetensors"
        save_file({key: tensor + 1 for key, tensor in load_file(file).items()}, file)
        assert hash_weights(folder) != micro_model.weights_hash
