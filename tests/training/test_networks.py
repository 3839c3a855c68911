"""Less memory, or compiled: the same gradients under the same names."""

import copy

import pytest
import torch

from latentfoley.errors import RecipeError
from latentfoley.training import networks
from latentfoley.training.networks import compute_twice, prepare
from latentfoley.unet import Unet
from latentfoley.vae import Vae
from latentfoley.vocoder import Vocoder
from lines import Line, line_recipe
from micro import UNET, VAE, VOCODER
from weights import normal, randomise


def vae_loss(vae):
    mean, logvar = vae.posterior(normal(2, 1, 16, 16))
    return (vae.decode(mean).square() + logvar.mean()).mean()


def unet_loss(unet):
    return unet(normal(2, 4, 5, 4), torch.tensor([3.0, 700.0]), normal(2, 16)).square().mean()


def vocoder_loss(vocoder):
    return vocoder(normal(2, 1, 4, 64)).square().mean()


@pytest.mark.parametrize(
    ("make", "loss"),
    [
        (lambda: Vae(VAE), vae_loss),
        (lambda: Unet(UNET), unet_loss),
        (lambda: Vocoder(VOCODER), vocoder_loss),
    ],
    ids=["vae", "unet", "vocoder"],
)
def test_what_is_computed_twice_has_the_same_gradients(make, loss):
    once = randomise(make(), seed=1)
    twice = copy.deepcopy(once)
    assert compute_twice(twice) > 3
    assert list(twice.state_dict()) == list(once.state_dict())
    saved = {once: 0, twice: 0}
    for network in saved:

        def count(tensor, network=network):
            saved[network] += tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            value = loss(network)
        value.backward()
    for ours, theirs in zip(twice.parameters(), once.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)
    assert saved[twice] < 0.7 * saved[once]  # numbers kept between forward and backward


def test_a_network_without_blocks_cannot_be_computed_twice(tmp_path):
    run = line_recipe(tmp_path, activation_checkpointing=True)
    with pytest.raises(RecipeError, match="activation_checkpointing: line has no blocks for it"):
        prepare(Line(run), run)


def test_no_compiler(tmp_path, monkeypatch):
    def fail(function):
        raise RuntimeError("no g++ here")

    monkeypatch.setattr(torch, "compile", fail)
    run = line_recipe(tmp_path, compile=True)
    with pytest.raises(RecipeError, match=r"needs a working compiler.*\(no g\+\+ here\)"):
        prepare(Line(run), run)


def test_what_is_compiled_is_what_is_called(tmp_path, monkeypatch):
    """Names stay, and averages are left alone."""
    monkeypatch.setattr(networks, "_require_compiler", lambda device: None)
    run = line_recipe(tmp_path, compile=True)
    task = Line(run)
    task.modules = {"vae": Vae(VAE), "line": task.line, "ema": Vae(VAE).requires_grad_(False)}
    before = {name: list(module.state_dict()) for name, module in task.modules.items()}
    prepare(task, run)
    called = (task.modules["vae"].encoder, task.modules["vae"].decoder, task.line)
    assert all(module._compiled_call_impl is not None for module in called)
    assert task.modules["vae"]._compiled_call_impl is None
    assert all(m._compiled_call_impl is None for m in task.modules["ema"].modules())
    assert {name: list(m.state_dict()) for name, m in task.modules.items()} == before


@pytest.mark.slow
def test_a_compiled_network_makes_the_same_steps(tmp_path):
    plain, compiled = (
        line_recipe(tmp_path / str(compile), compile=compile) for compile in (False, True)
    )
    tasks = [Line(plain), Line(compiled)]
    for task in tasks:
        prepare(task, task.recipe.run)
        for step in range(3):
            task.step(step)
    for ours, theirs in zip(tasks[0].line.parameters(), tasks[1].line.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)
