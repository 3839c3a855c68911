"""Recipes: TOML that says everything, errors that say where; those in `recipes/` are read."""

import tomllib
from pathlib import Path

import pytest
import torch

from latentfoley.errors import RecipeError
from latentfoley.evaluation.ablation.recipe import AblationRecipe
from latentfoley.presets import large, medium, small
from latentfoley.recipes import OURS, read_recipe
from latentfoley.training.clap import ClapRecipe
from latentfoley.training.diffusion_recipe import DiffusionRecipe
from latentfoley.training.report.losses import LEAST_POINTS, LEAST_VALIDATIONS
from latentfoley.training.vae import VaeRecipe
from latentfoley.training.vocoder import VocoderRecipe
from latentfoley.unet import Unet

RECIPES = Path(__file__).parents[1] / "recipes"
KINDS = {"clap": ClapRecipe, "vae": VaeRecipe, "vocoder": VocoderRecipe}
VALUES = {
    str(path if path.parent == OURS else path.relative_to(RECIPES)): tomllib.loads(
        path.read_text(encoding="utf-8")
    )
    for path in (*sorted(RECIPES.rglob("*.toml")), *sorted(OURS.glob("*.toml")))
    if path.name not in ("captions.toml", "kinds.toml")
}

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


@pytest.mark.parametrize(
    ("override", "name", "value"),
    [
        ("run.steps=100", "steps", 100),
        ("run.learning_rate = 5e-4", "learning_rate", 5e-4),
        ("run.folder=runs/other one", "folder", Path("runs/other one")),
        ("run.folder='a=b'", "folder", Path("a=b")),
        ("run.precision=fp32", "precision", "fp32"),
        ("run.compile=true", "compile", True),
    ],
)
def test_a_value_is_replaced(recipe, override, name, value):
    path = recipe(TEXT)
    before, after = read_recipe(path, VaeRecipe), read_recipe(path, VaeRecipe, [override])
    assert getattr(after.run, name) == value != getattr(before.run, name)
    assert after == before.model_copy(update={"run": before.run.model_copy(update={name: value})})


def test_the_last_override_wins_and_tables_are_made(recipe):
    overrides = ["model.block_channels=[32,64,96]", "mel.n_mels=32", "kl_weight=1", "kl_weight=2"]
    vae = read_recipe(recipe(TEXT), VaeRecipe, overrides)
    assert vae.model.block_channels == (32, 64, 96)
    assert (vae.mel.n_mels, vae.kl_weight) == (32, 2)


def test_an_override_sets_one_value_and_no_more(recipe):
    with pytest.raises(RecipeError, match=r"kl_weight: .*got '1.nsteps = 7'"):
        read_recipe(recipe(TEXT), VaeRecipe, ["kl_weight=1\nsteps = 7"])


def test_no_recipe(tmp_path):
    with pytest.raises(RecipeError, match="there is no recipe at"):
        read_recipe(tmp_path / "nowhere.toml", VaeRecipe)


@pytest.mark.parametrize("name", [name for name, values in VALUES.items() if "run" in values])
def test_a_training_is_read(name):
    kind = KINDS.get(Path(name).stem.partition("-")[0], DiffusionRecipe)
    assert read_recipe(RECIPES / name, kind).run.steps >= 100


@pytest.mark.parametrize("name", [name for name, values in VALUES.items() if "run" not in values])
def test_an_ablation_is_read(name):
    assert read_recipe(RECIPES / name, AblationRecipe).metrics


@pytest.mark.parametrize(
    ("name", "overrides", "preset", "n_parameters"),
    [
        ("small", [], small, 185_036_552),
        ("small", ["model=medium"], medium, 415_954_568),
        ("large", [], large, 739_139_080),
    ],
)
def test_the_sizes_of_the_paper(name, overrides, preset, n_parameters):
    recipe = read_recipe(Path(name), DiffusionRecipe, overrides)
    assert recipe.model == preset().unet
    assert recipe.schedule == preset().schedule
    with torch.device("meta"):
        unet = Unet(recipe.model)
    assert sum(parameter.numel() for parameter in unet.parameters()) == n_parameters


def test_a_size_that_is_not_known():
    with pytest.raises(RecipeError, match=r"model: .*Did you mean 'small'\?, got 'smal'"):
        read_recipe(Path("small"), DiffusionRecipe, ["model=smal"])


def test_a_recipe_is_the_same_after_it_was_recorded():
    recipe = read_recipe(Path("small"), DiffusionRecipe)
    assert DiffusionRecipe.parse(recipe.model_dump(mode="json"), where="run.json") == recipe


class TestByName:
    def test_a_recipe_of_the_package(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "my-recordings").mkdir()  # the recordings themselves
        recipe = read_recipe(Path("my-recordings"), DiffusionRecipe)
        assert recipe.run.folder == Path("runs/my-recordings")

    def test_a_file_goes_first(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        text = (OURS / "my-recordings.toml").read_text().replace("steps = 150", "steps = 7")
        (tmp_path / "my-recordings").write_text(text)
        assert read_recipe(Path("my-recordings"), DiffusionRecipe).run.steps == 7

    def test_a_name_that_is_nearly_one(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(RecipeError, match="Did you mean 'my-recordings'"):
            read_recipe(Path("my-recording"), DiffusionRecipe)

    @pytest.mark.parametrize("name", ["my-recordings", "my-recordings-lora"])
    def test_its_own_report_finds_what_it_needs(self, name):
        run = read_recipe(Path(name), DiffusionRecipe).run
        assert run.steps / run.log_every >= LEAST_POINTS
        assert run.steps / run.validate_every >= LEAST_VALIDATIONS
        assert run.steps / run.preview_every >= 2
