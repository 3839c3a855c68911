"""Every notebook runs from its first cell to its last, in an empty folder.

By default on the micro model, for the sake of time; with `-m slow` as they stand.
"""

import os
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "docs/notebooks").glob("*.ipynb"))
NAMES = [path.stem for path in NOTEBOOKS]
LONG = ("recordist", "researcher")  # start several processes, each of which loads a model


def code_of(path):
    return [cell for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]


def run(path, folder, monkeypatch, model="tiny"):
    """Run a notebook on a model and return what its cells gave out."""
    notebook = nbformat.read(path, 4)
    first = next(cell for cell in notebook.cells if cell.cell_type == "code")
    assert 'MODEL = "tiny"' in first.source
    first.source = first.source.replace('"tiny"', repr(str(model)), 1)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    resources = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, timeout=600, resources=resources).execute()
    return [output for cell in notebook.cells for output in cell.get("outputs", ())]


def players(outputs):
    return [o for o in outputs if "<audio" in o.get("data", {}).get("text/html", "")]


@pytest.mark.parametrize("path", [p for p in NOTEBOOKS if p.stem not in LONG], ids=lambda p: p.stem)
def test_a_notebook_runs(path, tmp_path, monkeypatch, micro_model_folder):
    assert len(players(run(path, tmp_path, monkeypatch, micro_model_folder))) == 7


@pytest.mark.slow
@pytest.mark.parametrize("path", [p for p in NOTEBOOKS if p.stem in LONG], ids=lambda p: p.stem)
def test_a_long_notebook_runs(path, tmp_path, monkeypatch, micro_model_folder):
    assert run(path, tmp_path, monkeypatch, micro_model_folder)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_a_notebook_runs_as_it_stands(path, tmp_path, monkeypatch):
    assert run(path, tmp_path, monkeypatch)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_a_notebook_is_kept_without_what_it_gave_out(path):
    cells = code_of(path)
    assert cells
    assert not any(cell.outputs or cell.execution_count for cell in cells)
