"""Weights are mapped, not copied: what a network computes with lies in the file."""

import errno
from hashlib import sha256

import pytest
import torch
from safetensors.torch import save_file

from latentfoley.checkpoints.tensors import Stored, as_half, hash_file, read_tensors, write_tensors
from latentfoley.errors import ModelError
from latentfoley.unet import Unet
from latentfoley.vocoder import Vocoder
from micro import UNET, VOCODER
from weights import randomise


@pytest.fixture(scope="module")
def weights():
    return randomise(Unet(UNET)).state_dict()


@pytest.fixture(params=["safetensors", "bin", "ckpt"])
def file(request, weights, tmp_path):
    path = tmp_path / f"weights.{request.param}"
    (save_file if request.param == "safetensors" else torch.save)(dict(weights), path)
    return path


def test_a_network_holds_the_mapped_tensors_themselves(file, weights):
    stored = Stored(UNET, read_tensors(file), file)
    network = stored.fill(Unet)
    for name, parameter in network.named_parameters():
        assert parameter.data_ptr() == stored.weights[name].data_ptr()
        assert torch.equal(parameter, weights[name])


def test_what_is_changed_in_memory_is_not_changed_on_disk(file):
    before = hash_file(file)
    with torch.no_grad():
        for parameter in Stored(UNET, read_tensors(file), file).fill(Unet).parameters():
            parameter.zero_()
    assert hash_file(file) == before


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_another_precision_is_a_copy(weights, tmp_path, dtype):
    network = Stored(UNET, as_half(weights), tmp_path).fill(Unet, dtype)
    assert {parameter.dtype for parameter in network.parameters()} == {dtype}
    assert not network.training


def test_buffers_that_a_file_may_leave_out(tmp_path):
    parameters = dict(randomise(Vocoder(VOCODER)).named_parameters())
    vocoder = Stored(VOCODER, parameters, tmp_path).fill(Vocoder)
    assert torch.equal(vocoder.mean, torch.zeros(64)) and torch.equal(vocoder.scale, torch.ones(64))


def test_parameters_may_not_be_left_out(weights, tmp_path):
    kept = {name: tensor for name, tensor in weights.items() if name != "conv_in.bias"}
    with pytest.raises(ModelError, match=r"1 faults:\n  missing: conv_in\.bias"):
        Stored(UNET, kept, tmp_path).fill(Unet)


def test_the_hash_of_a_file(tmp_path):
    content = bytes(range(256)) * 10_000  # more than one block
    (tmp_path / "x").write_bytes(content)
    assert hash_file(tmp_path / "x") == sha256(content).hexdigest()


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_weights_that_are_no_numbers_are_named(weights, tmp_path, bad, dtype):
    damaged = {name: tensor.to(dtype).clone() for name, tensor in weights.items()}
    damaged["conv_in.weight"].view(-1)[7] = bad
    with pytest.raises(ModelError, match=r"NaN or infinite, in 'conv_in\.weight'"):
        Stored(UNET, damaged, tmp_path).fill(Unet)


def test_weights_too_large_for_a_precision_are_named(weights, tmp_path):
    large = {**weights, "conv_in.bias": torch.full_like(weights["conv_in.bias"], 1e6)}
    Stored(UNET, large, tmp_path).fill(Unet)
    with pytest.raises(ModelError, match=r"'conv_in\.bias' has weights too large for float16"):
        Stored(UNET, large, tmp_path).fill(Unet, torch.float16)


def test_a_disk_that_refuses_is_told_as_one(weights, tmp_path):
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, before[1]))
    try:
        with pytest.raises(OSError, match="File too large") as failure:
            write_tensors(tmp_path / "a.safetensors", weights)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert failure.value.errno == errno.EFBIG
    assert failure.value.filename == str(tmp_path / "a.safetensors")
