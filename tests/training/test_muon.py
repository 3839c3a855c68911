"""Muon on weights of any shape: torch's own on matrices, and steps with equal singular values."""

import copy

import pytest
import torch
from torch import nn

from latentfoley.training.muon import Muon, orthogonalise, split_parameters
from latentfoley.unet import Unet
from micro import UNET


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(4, 6, 3), nn.Flatten(), nn.Linear(6, 5))


def steps(network, optimizer, n_steps=3):
    """Take steps down the mean square of the output for the same random inputs."""
    torch.manual_seed(1)
    for _ in range(n_steps):
        optimizer.zero_grad()
        network(torch.randn(2, 4, 3, 3)).square().mean().backward()
        optimizer.step()


def weights(network):
    return [p for p in network.parameters() if p.ndim > 1]


def test_it_takes_the_steps_of_torchs_muon_on_matrices_of_kernels(network, monkeypatch):
    monkeypatch.setattr("latentfoley.training.muon.has_bf16", lambda device: True)
    kernels, matrix = weights(copy.deepcopy(network))
    rows = nn.Parameter(kernels.detach().flatten(1))
    oracle = torch.optim.Muon([rows, matrix], weight_decay=0.01, adjust_lr_fn="match_rms_adamw")
    ours = Muon(weights(network))
    for seed in range(3):
        torch.manual_seed(seed)
        ours.zero_grad()
        for weight, expected in zip(weights(network), (rows, matrix), strict=True):
            weight.grad += torch.randn(weight.shape)
            expected.grad = weight.grad.flatten(1).clone()
        ours.step()
        oracle.step()
    for weight, expected in zip(weights(network), (rows, matrix), strict=True):
        assert torch.equal(weight.flatten(1), expected)


@pytest.mark.parametrize("shape", [(3, 7), (7, 3), (5, 5)])
def test_in_fp32_it_is_what_bf16_rounds(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    rounded = orthogonalise(matrix.bfloat16()).float()
    torch.testing.assert_close(orthogonalise(matrix), rounded, rtol=0, atol=0.03)


@pytest.mark.parametrize("hardware", [True, False], ids=["bf16", "no bf16"])
def test_a_step_has_singular_values_all_alike(network, hardware, monkeypatch):
    monkeypatch.setattr("latentfoley.training.muon.has_bf16", lambda device: hardware)
    before = [weight.detach().clone() for weight in weights(network)]
    optimizer = Muon(weights(network), weight_decay=0.0)
    for weight in weights(network):
        weight.grad += torch.randn(weight.shape)
    optimizer.step()
    for weight, old in zip(weights(network), before, strict=True):
        moved = torch.linalg.svdvals((weight.detach() - old).flatten(1))
        assert moved[0] < 2.0 * moved[-1]


def test_network_and_optimiser_share_gradients_after_zero_grad(network):
    optimizer = Muon(weights(network))
    steps(network, optimizer)
    optimizer.zero_grad()
    for weight, matrix in zip(weights(network), optimizer.param_groups[0]["params"], strict=True):
        assert not weight.grad.any()
        weight.grad += 1
        assert matrix.grad.eq(1).all()


def test_every_parameter_that_is_trained_is_in_one_part():
    unet = Unet(UNET)
    unet.conv_in.requires_grad_(False)
    hidden, others = split_parameters(unet)
    trained = {id(p) for p in unet.parameters() if p.requires_grad}
    assert {*map(id, hidden), *map(id, others)} == trained
    assert len(hidden) + len(others) == len(trained)
    assert all(p.ndim > 1 for p in hidden)
    assert any(p is unet.conv_out.weight for p in others)
