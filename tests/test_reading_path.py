"""The reading path that the README lists: the files that an executed generation runs through."""

import re
import sys
from pathlib import Path

import pytest

import latentfoley

ROOT = Path(__file__).parents[1]
PACKAGE = Path(latentfoley.__file__).parent
# What a request is, how a clip is finished and recorded, checks, and what only makes it faster:
# beside the way to a waveform.
BESIDE = {
    *("audio.py", "clip.py", "config.py", "devices.py", "encoding.py", "errors.py"),
    *("files.py", "finishing.py", "levels.py", "limiter.py", "loudness.py", "pages.py", "rows.py"),
    *("notation.py", "provenance.py", "request.py", "version.py"),
}


def executed(generate):
    """Return the package's files of which a function runs in `generate`."""
    files = set()

    def see(frame, event, argument):
        if event == "call":
            files.add(frame.f_code.co_filename)

    sys.setprofile(see)
    try:
        generate()
    finally:
        sys.setprofile(None)
    inside = (Path(file) for file in files if file.startswith(f"{PACKAGE}/"))
    return {path.relative_to(PACKAGE).as_posix() for path in inside}


@pytest.fixture(scope="module")
def path():
    """The files of the README's table, and the lines that it says they have together."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    section = readme.partition("## Read it")[2].partition("\n## ")[0]
    files = re.findall(r"^\| \d+ \| \[`([a-z_/]+\.py)`\]", section, re.M)
    return files, int(re.search(r"([\d,]+) lines", section)[1].replace(",", ""))


def test_the_list_is_what_runs(path, micro_model):
    files, _ = path
    ran = executed(lambda: micro_model.generate("rain", duration_s=0.2, steps=2))
    ran = {file for file in ran if not file.startswith("checkpoints/")} - BESIDE
    assert sorted(files) == sorted(ran)


def test_it_is_as_long_as_it_says(path):
    files, n_lines = path
    n_there = sum((PACKAGE / file).read_text("utf-8").count("\n") for file in files)
    assert n_lines == round(n_there, -2)


def test_sample_stands_in_the_pipeline():
    pipeline = (PACKAGE / "pipeline.py").read_text(encoding="utf-8")
    assert "z_0 = sample(" in pipeline
