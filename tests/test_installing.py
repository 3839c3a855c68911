"""The page on installing shows what `benchmarks/install.py` measured."""

import json
from pathlib import Path

ROOT = Path(__file__).parents[1]


def rows():
    """Return the rows that the page has to show."""
    found = json.loads((ROOT / "benchmarks/install.json").read_text())["environments"]
    for name, one in found.items():
        python, resolution = name.split(", ")
        if "failed" in one:
            yield f"| {python.removeprefix('python')} | {resolution} | – | failed | | |"
        else:
            cells = (one["python"], resolution, one["torch"])
            numbers = (f"{one[key]:g}" for key in ("install_s", "size_mb", "first_sound_s"))
            yield f"| {' | '.join((*cells, *numbers))} |"


def test_the_table_is_what_was_measured():
    page = (ROOT / "docs/installing.md").read_text(encoding="utf-8")
    shown = [line for line in page.splitlines() if line.startswith("| 3.")]
    assert shown == list(rows())
    assert shown
