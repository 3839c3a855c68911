"""Low-rank adapters: W x + (α/r) B A x, where only A and B are trained (Hu et al. 2021, eq. 3).

A few hundred kilobytes say how a model is to sound otherwise. Merged, W + (α/r) B A takes the
place of W, and nothing is slower. `checkpoints/adapter.py` stores them in the form of peft.
"""

import math
from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from latentfoley.errors import RecipeError, nearest


class Adapter(nn.Module):
    """A and B of one layer; B begins at zero, so that training begins at the model itself."""

    def __init__(self, in_features: int, out_features: int, rank: int) -> None:
        super().__init__()
        self.lora_A = nn.Linear(in_features, rank, bias=False)
        self.lora_B = nn.Linear(rank, out_features, bias=False)
        nn.init.kaiming_uniform_(self.lora_A.weight, a=math.sqrt(5))
        nn.init.zeros_(self.lora_B.weight)

    def forward(self, x: Float[Tensor, "... I"]) -> Float[Tensor, "... O"]:
        out: Tensor = self.lora_B(self.lora_A(x))
        return out


class AdaptedLinear(nn.Module):
    """A frozen linear layer and its adapter."""

    def __init__(self, layer: nn.Linear, rank: int, scale: float) -> None:
        super().__init__()
        self.layer, self.scale = layer, scale
        self.adapter = Adapter(layer.in_features, layer.out_features, rank)

    def forward(self, x: Float[Tensor, "... I"]) -> Float[Tensor, "... O"]:
        out: Tensor = self.layer(x) + self.scale * self.adapter(x)
        return out


def adapt(network: nn.Module, rank: int, scale: float, targets: Sequence[str]) -> None:
    """Freeze a network and put adapters beside every linear layer that a target names.

    Args:
        network: changed in place.
        rank: r, from 1 to the width of the narrowest layer.
        scale: α/r.
        targets: names of layers, or their last parts: "to_q" stands for every query.

    Raises:
        RecipeError: a target names no layer, or one that is not linear.
    """
    network.requires_grad_(False)
    modules = dict(network.named_modules())
    for target in targets:
        if not any(_is_named(name, target) for name in modules):
            kinds = {name.rpartition(".")[2] for name, m in modules.items() if _is_linear(m)}
            raise RecipeError(f"lora: no layer is called '{target}'; {nearest(target, kinds)}")
    for name, module in modules.items():
        if not any(_is_named(name, target) for target in targets):
            continue
        if not isinstance(module, nn.Linear):
            raise RecipeError(f"lora: '{name}' is a {type(module).__name__}; allowed: Linear")
        parent, _, last = name.rpartition(".")
        adapted = AdaptedLinear(module, rank, scale).to(module.weight.device)
        setattr(network.get_submodule(parent), last, adapted)


def adapters(network: nn.Module) -> dict[str, Adapter]:
    """Return the adapters of a network, by the name of the layer that each stands beside."""
    return {
        name: module.adapter
        for name, module in network.named_modules()
        if isinstance(module, AdaptedLinear)
    }


def _is_named(name: str, target: str) -> bool:
    return name == target or name.endswith(f".{target}")


def _is_linear(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear)
