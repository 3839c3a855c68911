"""The loudness of a model's sounds in its folder: read, refused, hashed, carried along."""

import shutil

import pytest
import torch

import latentfoley
from latentfoley.checkpoints.export import write_original
from latentfoley.checkpoints.loudness import FILE, read_loudness, write_loudness
from latentfoley.checkpoints.parts import write_folder
from latentfoley.errors import ModelError
from latentfoley.levels import loudness
from latentfoley.loading import open_model
from latentfoley.loudness import LoudnessHead


@pytest.fixture
def folder(micro_model_folder, tmp_path):
    return shutil.copytree(micro_model_folder, tmp_path / "model")


def head(size, bias=-30.0):
    return LoudnessHead(torch.zeros(size), bias)


def size_of(model):
    return model.config.unet.embedding_dim


def test_what_is_written_is_read(tmp_path):
    line = LoudnessHead(torch.randn(5), -21.5)
    write_loudness(tmp_path, line)
    again = read_loudness(tmp_path, 5)
    torch.testing.assert_close(again.weight, line.weight)
    assert again.bias == line.bias


def test_a_folder_without_one_has_none(micro_model):
    assert micro_model.loudness is None


def test_sounds_come_at_it_and_the_hash_of_weights_says_so(folder, micro_model):
    write_loudness(folder, head(size_of(micro_model)))
    model = latentfoley.load(folder, device="cpu")
    assert model.weights_hash != micro_model.weights_hash
    (clip,) = model.generate("rain", duration_s=1.0, steps=2, seed=1)
    assert loudness(clip.waveform, clip.sample_rate) == pytest.approx(-30, abs=1)


def test_it_goes_along_when_a_model_is_exported(folder, micro_model, tmp_path):
    write_loudness(folder, head(size_of(micro_model)))
    parts = open_model(str(folder))
    write_folder(parts, tmp_path / "out")
    assert read_loudness(tmp_path / "out", size_of(micro_model)).bias == -30
    with pytest.raises(ModelError, match="a loudness head"):
        write_original(parts, tmp_path / "out.ckpt")


def test_one_of_another_size_is_refused(folder, micro_model):
    write_loudness(folder, head(size_of(micro_model) + 1))
    with pytest.raises(ModelError, match="numbers for E of"):
        latentfoley.load(folder)


@pytest.mark.parametrize("damage", [b"", b"no tensors", b"\0" * 64])
def test_a_damaged_file_is_refused(folder, damage):
    (folder / FILE).parent.mkdir()
    (folder / FILE).write_bytes(damage)
    with pytest.raises(ModelError, match="damaged"):
        latentfoley.load(folder)
