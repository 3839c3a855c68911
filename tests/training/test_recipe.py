"""Recipes: TOML that says everything, and errors that say where."""

from pathlib import Path

import pytest

from latentfoley.errors import RecipeError
from latentfoley.training.recipe import read_recipe
from latentfoley.training.vae import VaeRecipe

TEXT = """
kl_weight = 0.01

[run]
folder = "runs/vae"
steps = 10
batch_size = 2
learning_rate = 1e-3

[data]
manifest = "manifest.jsonl"
folder = "data"

[model]
latent_channels = 16
block_channels = [32, 64]
"""


@pytest.fixture
def recipe(tmp_path):
    """Write a recipe; return the path."""

    def recipe(text):
        (tmp_path / "vae.toml").write_text(text, encoding="utf-8")
        return tmp_path / "vae.toml"

    return recipe


def test_what_is_said_and_what_is_default(recipe):
    vae = read_recipe(recipe(TEXT), VaeRecipe)
    assert (vae.run.steps, vae.run.precision, vae.kl_weight) == (10, "bf16", 0.01)
    assert vae.model.block_channels == (32, 64)
    assert vae.run.folder == Path("runs/vae")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("kl_weight", "kl_wieght", "unknown key 'kl_wieght'; .*Did you mean 'kl_weight'"),
        ("steps", "step", r"unknown key 'step' in \[run\]; .*Did you mean 'steps'"),
        ("steps = 10", "steps = 0", "run.steps: .*greater than or equal to 1, got 0"),
        ("steps = 10", "", "run.steps: Field required"),
        ("[32, 64]", "[30, 64]", "model: 30 channels do not divide into 32 norm_groups"),
        ("kl_weight = 0.01", "kl_weight = -1", "kl_weight: .*got -1"),
        ("kl_weight = 0.01", "kl_weight =", "is not valid TOML: .*line 2"),
    ],
)
def test_what_is_wrong_is_named(recipe, old, new, message):
    with pytest.raises(RecipeError, match=f"vae.toml.*{message}"):
        read_recipe(recipe(TEXT.replace(old, new)), VaeRecipe)


def test_no_recipe(tmp_path):
    with pytest.raises(RecipeError, match="there is no recipe at"):
        read_recipe(tmp_path / "nowhere.toml", VaeRecipe)
