"""What the documents tell a reader to type, works; what they point to, is there.

Code runs as it stands in the document, on the micro model for the sake of time: `test_tiny.py`
holds the embedded one.
"""

import re
import runpy
import shlex
import sys
from pathlib import Path

import pytest
import soundfile
import yaml

from latentfoley.cli import main
from signals import noise

ROOT = Path(__file__).parents[1]
FOLDERS = ("docs", "integrations", "recipes")
DOCUMENTS = [
    *ROOT.glob("*.md"),
    *(page for name in FOLDERS for page in (ROOT / name).rglob("*.md")),
]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
# Their code runs in the quick tests, all other in the slow ones.
FIRST_READ = ("README.md", "docs/first-sound.md")
LINK = re.compile(r"\]\((?!\w+:)([^)#]+)")
PROGRAM = ".venv/bin/latentfoley"


def blocks(language: str) -> list:
    """Return the code blocks of every document, named after where they stand."""
    return [
        pytest.param(
            code,
            id=f"{name}-{k}",
            marks=() if name in FIRST_READ else pytest.mark.slow,
        )
        for document in DOCUMENTS
        for name in [document.relative_to(ROOT).as_posix()]
        for k, (kind, code) in enumerate(BLOCK.findall(document.read_text(encoding="utf-8")))
        if kind == language
    ]


@pytest.fixture
def desk(tmp_path, monkeypatch, micro_model):
    """An empty folder to work in, with one recording; whatever is loaded is the micro model."""
    soundfile.write(tmp_path / "some-recording.wav", noise(), 16_000)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("latentfoley.loading.load", lambda *_, **__: micro_model)
    return tmp_path


@pytest.mark.parametrize("code", blocks("python"))
def test_python_runs(desk, code):
    exec(compile(code, "document", "exec"), {})


@pytest.mark.parametrize("example", sorted((ROOT / "examples").glob("*.py")), ids=lambda p: p.name)
def test_an_example_runs_and_is_short(desk, example):
    assert len(example.read_text(encoding="utf-8").splitlines()) <= 40
    runpy.run_path(str(example), run_name="__main__")


@pytest.mark.parametrize("code", blocks("sh"))
def test_commands_are_there_and_run(desk, monkeypatch, code):
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    for line in code.splitlines():
        program, *words = shlex.split(line, comments=True)
        if program == "make":
            assert words[0] in targets
            continue
        assert program == PROGRAM, f"who runs this? {line}"
        monkeypatch.setattr(sys, "argv", ["latentfoley", *words])
        with pytest.raises(SystemExit) as end:
            main()
        assert end.value.code == 0, line


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(document):
    for target in LINK.findall(document.read_text(encoding="utf-8")):
        beside = document.parent
        if document.name == "model_card.md":  # a template: its links count from the model's folder
            beside = ROOT / "src/latentfoley/resources/tiny"
        assert (beside / target).exists(), target


def test_the_navigation_of_the_site_names_every_page():
    """Decisions and the reference are listed when it is built: `docs/site/hooks.py`."""
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))

    def leaves(entry):
        inside = entry.values() if isinstance(entry, dict) else entry
        return [entry] if isinstance(entry, str) else [x for part in inside for x in leaves(part)]

    named = leaves(settings["nav"])
    pages = {page.relative_to(ROOT / "docs") for page in (ROOT / "docs").rglob("*.md")}
    listed = {page.as_posix() for page in pages if page.parts[0] != "decisions"}
    assert sorted(named) == sorted({*listed, "decisions/", "reference/"})
