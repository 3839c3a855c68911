"""What is shown: tables, and a page that needs nothing else and trusts no text."""

import json
import re

import pytest

from latentfoley.evaluation.ablation import report
from latentfoley.evaluation.ablation.run import ablate


@pytest.fixture
def ablation(make, tmp_path):
    """A small ablation, its clips in `tmp_path`."""
    return ablate(make(metrics=["recognised", "loudness"]), tmp_path, workers=1)


def test_the_page_has_values_and_tests(ablation, tmp_path):
    text = " ".join(re.sub("<[^>]+>", " ", report.page(ablation, tmp_path)).split())
    assert "2 cells of 6 clips (6 prompts)." in text
    assert "recognised, classifier (share of clips) ↑" in text
    assert "cell value 95 % against guidance=1" in text
    assert "cell against difference 95 % p p (Holm) verdict" in text


def test_all_files_are_written(ablation, tmp_path):
    report.write_all(ablation, tmp_path)
    record = json.loads((tmp_path / "results.json").read_text())
    assert record["results"][0]["cells"][1]["cell"] == "guidance=3"
    assert record["origin"]["recipe"]["seeds"] == [0]
    page = (tmp_path / "report.html").read_text()
    assert page.count("<audio") == 3 * 2
    assert "http" not in page


def test_texts_of_others_are_escaped(make, tmp_path):
    recipe = make(prompts=["<script>", "a | b"], metrics=["loudness"])
    ablation = ablate(recipe, tmp_path, workers=1)
    report.write_all(ablation, tmp_path)
    assert "<script>" not in (tmp_path / "report.html").read_text()
