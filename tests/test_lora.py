"""Low-rank adapters in a network: nothing at first, and nothing but them is trained."""

import pytest
import torch

import latentfoley
from latentfoley.errors import RecipeError
from latentfoley.lora import adapt, adapters
from latentfoley.training.diffusion_recipe import LORA_TARGETS
from latentfoley.unet import Unet
from micro import UNET
from weights import normal, randomise


@pytest.fixture
def unet():
    return randomise(Unet(UNET))


@torch.no_grad()
def noise_seen_by(unet):
    return unet(normal(2, 4, 16, 16), torch.tensor([3.0, 900.0]), normal(2, 16, seed=1))


def test_at_first_nothing_changes(unet):
    before = noise_seen_by(unet)
    adapt(unet, 4, 1.0, LORA_TARGETS)
    assert torch.equal(noise_seen_by(unet), before)


def test_only_adapters_are_trained(unet):
    adapt(unet, 4, 1.0, ("to_q", "class_embedding"))
    trained = {name for name, p in unet.named_parameters() if p.requires_grad}
    own = {f"{n}.adapter.{k}.weight" for n in adapters(unet) for k in ("lora_A", "lora_B")}
    assert trained == own
    assert "class_embedding" in adapters(unet)
    assert all(name.endswith(("to_q", "class_embedding")) for name in adapters(unet))


def test_a_whole_name_stands_for_one_layer(unet):
    name = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q"
    adapt(unet, 1, 1.0, (name,))
    assert list(adapters(unet)) == [name]


def test_scale_is_linear(unet):
    layer = torch.nn.Sequential(torch.nn.Linear(6, 5))
    adapt(layer, 2, 3.0, ("0",))
    (adapter,) = adapters(layer).values()
    randomise(adapter)
    x = normal(7, 6)
    low_rank = adapter.lora_B.weight @ adapter.lora_A.weight
    expected = x @ (layer[0].layer.weight + 3.0 * low_rank).T + layer[0].layer.bias
    torch.testing.assert_close(layer(x), expected)


def test_under_five_hundredths_of_the_embedded_model_are_trained():
    unet = latentfoley.load("tiny", device="cpu").unet
    n_whole = sum(p.numel() for p in unet.parameters())
    adapt(unet, 8, 1.0, LORA_TARGETS)
    n_trained = sum(p.numel() for p in unet.parameters() if p.requires_grad)
    assert 0 < n_trained < 0.05 * n_whole


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("to_k_", r"no layer is called 'to_k_'; allowed: .*Did you mean 'to_k'"),
        ("conv_in", "'conv_in' is a Conv2d; allowed: Linear"),
    ],
)
def test_a_target_that_is_none(unet, target, says):
    with pytest.raises(RecipeError, match=says):
        adapt(unet, 1, 1.0, (target,))
