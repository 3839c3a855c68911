"""The walk of docs/training.md: its figures are those that were measured, and they are measured."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from training.walk import OTHERS, THEMES, compare, copy_recordings

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
REPORT = json.loads((ROOT / "benchmarks" / "training" / "walk.json").read_text(encoding="utf-8"))


def test_the_page_shows_what_the_commands_said():
    for step in REPORT["water"]["commands"]:
        # When this was measured the bar of a training was on stdout.
        output = [line for line in step["output"] if "━" not in line]
        # Then the recipe was a file of the repository; it has a name now.
        command = step["command"].replace("recipes/my-recordings.toml", "my-recordings")
        lines = [f"$ {command}", *output]
        assert "\n".join(lines) in PAGE


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize(
    ("name", "measure", "label", "digits"),
    [
        ("clap", "to_the_mean", "CLAP, from the mean", 2),
        ("clap", "frechet", "CLAP, Fréchet", 2),
        ("log-mel statistics", "to_the_mean", "log-mel statistics, from the mean", 1),
        ("log-mel statistics", "frechet", "log-mel statistics, Fréchet", 0),
    ],
)
def test_the_page_shows_what_was_measured(theme, name, measure, label, digits):
    of = REPORT[theme][name][measure]
    low, high = of["interval_95"]
    numbers = [f"{n:.{digits}f}" for n in (of["before"], of["after"])]
    interval = f"{low:+.{digits}f} to {high:+.{digits}f}"
    assert f"| {theme} | {label} | {' | '.join(numbers)} | {interval} |" in PAGE


@pytest.mark.parametrize("theme", THEMES)
def test_the_page_shows_how_much_was_silent(theme):
    silent = REPORT[theme]["silent frames"]
    shares = [f"{100 * silent[key]:.0f} %" for key in ("before", "after", "held out")]
    assert f"| {theme} | {' | '.join(shares)} |" in PAGE


@pytest.mark.parametrize("theme", THEMES)
def test_the_page_shows_every_text(theme):
    by_text = REPORT[theme]["clap from the mean by text"]
    assert tuple(by_text) == THEMES[theme].texts
    for text, (before, after) in by_text.items():
        assert f"| {theme} | {text} | {before:.2f} | {after:.2f} |" in PAGE


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("text", OTHERS)
def test_the_page_shows_what_became_of_other_texts(theme, text):
    before, after = (REPORT[theme]["cosine with other texts"][k][text] for k in ("before", "after"))
    assert f"{before:.2f} and {after:.2f}" in PAGE


def test_the_copies_have_no_names(tmp_path):
    theme = THEMES["drums"]
    data = tmp_path / "data" / theme.data_set
    data.mkdir(parents=True)
    names = [f"{kind}_{k}" for k in range(20) for kind in (*theme.kinds, "guit")]
    with (data / "metadata.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("path", "name"), *((f"{name}.flac", name) for name in names)])
    for name in names:
        (data / f"{name}.flac").write_bytes(name.encode())
    origins = copy_recordings(tmp_path / "data", theme, tmp_path / "copies")
    copies = sorted((tmp_path / "copies").iterdir())
    assert [copy.name for copy in copies] == [f"{n:02d}.flac" for n in range(1, 61)]
    assert [f"sonicpi/{copy.read_text()}.flac" for copy in copies] == origins
    assert not any("guit" in path for path in origins)


def test_nearer_is_a_difference_below_zero():
    rng = np.random.default_rng(0)
    far, near, real = (rng.normal(shift, 1, (20, 4)) for shift in (3, 0.5, 0))
    for measured in compare(far, near, real).values():
        assert measured["interval_95"][0] < measured["difference"] < measured["interval_95"][1] < 0
    same = compare(far, far, real)["to_the_mean"]
    assert same["difference"] == 0 and same["interval_95"] == [0, 0]
