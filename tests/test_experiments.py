"""The pages of the experiments state what was kept of them, and that comes from the recipes."""

import importlib.util
import json
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest
from matplotlib import image

from latentfoley.evaluation.ablation.recipe import AblationRecipe

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "docs" / "experiments"
RECIPES = ROOT / "recipes" / "experiments"
NAMES = sorted(path.stem for path in PAGES.glob("*.json"))
DECIMAL = re.compile(r"\d+\.\d+")


def script(name):
    """Import a script that stands beside the recipes."""
    spec = importlib.util.spec_from_file_location(name, RECIPES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def keep():
    """The script that writes the pages' tables."""
    return script("keep")


class TestPictures:
    """The picture of a page: a panel per metric, lines where an axis has numbers, else dots."""

    @pytest.fixture
    def shape(self, tmp_path):
        def shape(found):
            script("plots").plot(found, tmp_path / "p.png")
            pixels = image.imread(tmp_path / "p.png")
            assert np.ptp(pixels[..., :3]) > 0.5
            return pixels.shape

        return shape

    def test_a_panel_per_metric(self, shape):
        found = record("guidance")
        one, two = (shape(found | {"results": found["results"][:n]}) for n in (1, 2))
        assert two[1] == pytest.approx(2 * one[1], abs=2)

    def test_cells_without_numbers(self, shape):
        assert shape(record("mixup"))


@pytest.fixture(scope="module")
def reconstruction():
    """What the first stages leave of recordings, as the page on compression has it."""
    report = json.loads((PAGES / "figures" / "reconstruction.json").read_text(encoding="utf-8"))
    return script("reconstruct").table(report)


def page(name):
    return (PAGES / f"{name}.md").read_text(encoding="utf-8")


def record(name):
    return json.loads((PAGES / f"{name}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", NAMES)
class TestPages:
    def test_the_tables_are_those_of_the_results(self, keep, name):
        assert f"{keep.BEGIN}\n\n{keep.tables(record(name))}\n{keep.END}" in page(name)

    def test_its_words_state_no_other_figures(self, keep, reconstruction, name):
        before, rest = page(name).split(keep.BEGIN)
        tables, after = rest.split(keep.END)
        recipe = (RECIPES / f"{name}.toml").read_text(encoding="utf-8")
        known = set(DECIMAL.findall(tables + recipe))
        said = before.replace(reconstruction, "") + after
        assert set(DECIMAL.findall(said)) <= known

    def test_the_results_are_those_of_the_recipe(self, name):
        recipe = tomllib.loads((RECIPES / f"{name}.toml").read_text(encoding="utf-8"))
        made_by = AblationRecipe.model_validate(recipe).model_dump(mode="json")
        assert record(name)["origin"]["recipe"] == made_by

    def test_a_verdict_is_what_its_p_says(self, name):
        for result in record(name)["results"]:
            for one in result["differences"]:
                assert (one["p_holm"] < 0.05) == (one["verdict"] != "not shown to differ")
                assert one["interval"][0] <= one["difference"] <= one["interval"][1]

    def test_its_picture_is_there_and_small(self, name):
        assert f"({name}.png)" in page(name)
        assert (PAGES / f"{name}.png").stat().st_size < 200_000

    def test_the_list_of_experiments_leads_to_it(self, name):
        assert f"[{name}.md]({name}.md)" in page("README")


def test_the_page_on_compression_has_the_reconstructions(reconstruction):
    assert reconstruction in page("compression")
