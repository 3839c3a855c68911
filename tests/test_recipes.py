"""The recipes in `recipes/` are read, and make networks of the sizes they name."""

import tomllib
from pathlib import Path

import pytest
import torch

from latentfoley.evaluation.ablation.recipe import AblationRecipe
from latentfoley.presets import large, small
from latentfoley.training.clap import ClapRecipe
from latentfoley.training.diffusion_recipe import DiffusionRecipe
from latentfoley.training.recipe import read_recipe
from latentfoley.training.vae import VaeRecipe
from latentfoley.training.vocoder import VocoderRecipe
from latentfoley.unet import Unet

RECIPES = Path(__file__).parents[1] / "recipes"
KINDS = {"clap": ClapRecipe, "vae": VaeRecipe, "vocoder": VocoderRecipe}
VALUES = {
    str(path.relative_to(RECIPES)): tomllib.loads(path.read_text(encoding="utf-8"))
    for path in sorted(RECIPES.rglob("*.toml"))
    if path.name != "captions.toml"
}


@pytest.mark.parametrize("name", [name for name, values in VALUES.items() if "run" in values])
def test_a_training_is_read(name):
    kind = KINDS.get(Path(name).stem.partition("-")[0], DiffusionRecipe)
    assert read_recipe(RECIPES / name, kind).run.steps >= 100


@pytest.mark.parametrize("name", [name for name, values in VALUES.items() if "run" not in values])
def test_an_ablation_is_read(name):
    assert read_recipe(RECIPES / name, AblationRecipe).metrics


@pytest.mark.parametrize(
    ("name", "preset", "n_parameters"),
    [("small.toml", small, 185_036_552), ("large.toml", large, 739_139_080)],
)
def test_the_sizes_of_the_paper(name, preset, n_parameters):
    recipe = read_recipe(RECIPES / name, DiffusionRecipe)
    assert recipe.model == preset().unet
    assert recipe.schedule == preset().schedule
    with torch.device("meta"):
        unet = Unet(recipe.model)
    assert sum(parameter.numel() for parameter in unet.parameters()) == n_parameters
