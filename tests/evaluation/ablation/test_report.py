"""What is shown: tables, a picture, a page that needs nothing else and trusts no text."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from matplotlib import image

from latentfoley.evaluation.ablation import report
from latentfoley.evaluation.ablation.plots import plot
from latentfoley.evaluation.ablation.run import ablate


@pytest.fixture
def ablation(make, tmp_path):
    """A small ablation, its clips in `tmp_path`."""
    return ablate(make(metrics=["recognised", "loudness"]), tmp_path, workers=1)


def test_markdown_has_values_and_tests(ablation):
    text = report.markdown(ablation)
    assert text.startswith("2 cells of 6 clips (6 prompts).")
    assert "## recognised, judge (share of clips) ↑" in text
    assert "| cell | value | 95 % | against guidance=1 |" in text
    assert "| cell | against | difference | 95 % | p | p (Holm) | verdict |" in text
    for line in text.splitlines():
        assert line.count("|") in (0, 5, 8)


def test_all_files_are_written(ablation, tmp_path):
    report.write_all(ablation, tmp_path)
    record = json.loads((tmp_path / "results.json").read_text())
    assert record["results"][0]["cells"][1]["cell"] == "guidance=3"
    assert record["origin"]["recipe"]["seeds"] == [0]
    assert (tmp_path / "table.md").read_text() == report.markdown(ablation)
    page = (tmp_path / "report.html").read_text()
    assert page.count("<audio") == 3 * 2
    assert "http" not in page


def test_a_picture_with_a_panel_per_metric(ablation):
    one = plot(replace(ablation, results=ablation.results[:1]))
    both = plot(ablation)
    shapes = [image.imread(io.BytesIO(data)).shape for data in (one, both)]
    assert shapes[1][1] == pytest.approx(2 * shapes[0][1], abs=2)
    assert np.ptp(image.imread(io.BytesIO(one))[..., :3]) > 0.5


def test_a_picture_of_cells_without_numbers(make, values, tmp_path):
    (model,) = values["models"].values()
    recipe = make(models={"a": model, "b": model}, grid={}, baselines=[], metrics=["loudness"])
    assert plot(ablate(recipe, tmp_path, workers=1, limit=2)).startswith(b"\x89PNG")


def test_texts_of_others_are_escaped(make, tmp_path):
    recipe = make(prompts=["<script>alert(1)</script>", "a | b"], metrics=["loudness"])
    ablation = ablate(recipe, tmp_path, workers=1)
    report.write_all(ablation, tmp_path)
    assert "<script>" not in (tmp_path / "report.html").read_text()
