"""What was measured of editing is the same in the record and in the docs; the weights are named."""

import json
from pathlib import Path

import pytest
from suite import read_suite
from tables import cell, summarise, tables

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "benchmarks" / "manipulation"
SUITE = read_suite()


@pytest.fixture(scope="module")
def results():
    return json.loads((FOLDER / "results.json").read_text(encoding="utf-8"))


def test_on_all_cases(results):
    stored = {
        name: {key: value for key, value in case.items() if key != "methods"}
        for name, case in results["cases"].items()
    }
    expected = {
        case.name: json.loads(case.model_dump_json(exclude_defaults=True, exclude={"name"}))
        for case in SUITE
    }
    assert stored == expected


def test_the_document_states_it(results):
    assert results["summary"] == summarise(results["cases"])
    document = (ROOT / "docs" / "manipulation.md").read_text(encoding="utf-8")
    assert document == tables(results)
    assert results["model_hash"][:12] in document


def test_the_page_on_editing_states_it_too(results):
    page = (ROOT / "docs" / "editing.md").read_text(encoding="utf-8")
    stated = {
        "transfer": ("edit", "inverted", "generation"),
        "vary": ("edit",),
        "loop": ("edit", "generation as a loop", "keep"),
    }
    for operation, methods in stated.items():
        for method in methods:
            figure = results["summary"][operation]["all"][method]["success"]
            assert cell("success", figure) in page, (operation, method)
    for operation in ("inpaint", "bands", "upsample", "extend"):
        for method, figures in results["summary"][operation]["all"].items():
            figure = figures["LSD, edited part"]
            assert cell("LSD", figure) in page, (operation, method)
