"""The page: everything is on it, everything is inside it, and nothing in it runs."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import soundfile

from latentfoley.pictures import plot_matrix
from latentfoley.training.report.curves import draw_curves
from latentfoley.training.report.findings import Finding
from latentfoley.training.report.page import diagnose, page, summary, verdict
from latentfoley.training.report.run import read_run
from runs import course, falling, healthy, turning, write_run
from signals import noise

METADATA = {
    "kind": "diffusion",
    "recipe": {"run": {"steps": 2000, "learning_rate": 1e-4}, "vae": "<script>alert(1)</script>"},
    "data": {"recordings": 60, "duration_s": 300.5},
    "hardware": {"cpu": "a processor", "gpu": None},
    "versions": {"torch": "2.13"},
    "n_parameters": 1_234_567,
    "n_processes": 2,
    "sessions": [{"started": "2026-01-02", "first_step": 0, "last_step": 2000, "seconds": 199.0}],
    "best": {"step": 1500, "loss": 0.25},
}


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.seen = set()

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)


@pytest.fixture
def folder(tmp_path):
    """A run that overfits, with sounds and pictures of two steps."""
    others = [("loss_low_noise", healthy), ("loss_high_noise", healthy)]
    records = course(falling, turning, others=others)
    for record in records:
        record |= {"learning_rate": 1e-4, "gradient_norm": 1.0, "steps_per_second": 2.0}
    folder = write_run(tmp_path / "run", records, METADATA)
    (folder / "previews").mkdir()
    for step in ("0000500", "0002000"):
        plot_matrix(folder / "previews" / f"{step}.png", np.eye(2), ["a", "b"], "cosines")
        for k in range(6):
            for row in ("encoded", "generated"):
                path = folder / "previews" / f"{step}-{row}-{k}.wav"
                soundfile.write(path, noise(0.1, seed=k), 16_000)
    (folder / "previews" / "names.json").write_text('{"0": "rain-on-a-<tent>"}')
    return folder


@pytest.fixture
def html(folder):
    run = read_run(folder)
    return page(run, diagnose(run))


def test_everything_is_on_it(html):
    for said in (
        "Training of the denoiser",
        "2000 of 2000 steps, 3 min of training",
        "1,234,567 weights, 2 processes, best validation loss 0.25 at step 1500.",
        "Found: Overfitting.",
        "Take the checkpoint of about step",
        "Not measured, because",
        "run.learning_rate",
        "hardware.cpu",
        "a processor",
        "recordings",
        "from step 0, 2026-01-02, to step 2000",
        "After 500 steps",
        "after 2000 steps",
        "<b>rain-on-a-&lt;tent&gt;</b>",
    ):
        assert said in html, said
    for title in ("loss by timestep", "learning rate", "gradient norm", "steps per second"):
        assert title in html, title


def test_everything_is_inside_it_and_nothing_runs(html):
    assert not re.search(r'(src|href)="(?!data:|#)', html)
    assert "url(http" not in html
    tags = Tags()
    tags.feed(html)
    assert "script" not in tags.seen
    assert {"audio", "img", "table"} <= tags.seen
    assert html.count("data:image/png") == 2
    assert html.count("data:image/svg+xml") == 5
    assert html.count("data:audio/wav") == 9  # every second of six rows, three sounds each


def test_a_loss_and_its_validation_share_a_curve(folder):
    curves = draw_curves(read_run(folder))
    shared = ["loss", "loss by timestep"]
    assert list(curves)[:2] == shared
    assert len(curves) == 5  # and learning rate, gradient norm, speed
    for title, svg in curves.items():
        assert (b"legend" in svg) == (title in shared)


def test_curves_are_the_same_bytes_again(folder):
    run = read_run(folder)
    assert draw_curves(run) == draw_curves(run)


def test_a_long_log_makes_no_long_page(tmp_path):
    records = [{"step": k, "elapsed_s": k, "loss": 1 + k % 7} for k in range(20_000)]
    (curve,) = draw_curves(read_run(write_run(tmp_path, records))).values()
    assert len(curve) < 150_000


def test_a_run_that_has_just_begun_has_a_page(tmp_path):
    run = read_run(write_run(tmp_path, [{"step": 0, "elapsed_s": 0.1, "mel": 1.0}]))
    html = page(run, diagnose(run))
    assert "The run has written no previews yet." in html
    assert "Training of the vocoder" in html


def test_shares_by_label_are_a_table(tmp_path):
    folder = write_run(tmp_path, course(healthy, name="contrast"), {"kind": "clap"})
    (folder / "previews").mkdir()
    for step, shares in (("0000100", {"rain": 0.25}), ("0000200", {"rain": 0.5, "sea": 1.0})):
        (folder / "previews" / f"{step}.json").write_text(json.dumps(shares))
    run = read_run(folder)
    html = page(run, diagnose(run))
    assert '<td>rain</td><td class="n">25 %</td><td class="n">50 %</td>' in html
    assert '<td>sea</td><td class="n"></td><td class="n">100 %</td>' in html


@pytest.mark.parametrize(("seconds", "said"), [(59, "59 s"), (600, "10 min"), (9000, "2.5 h")])
def test_time_has_the_unit_that_suits_it(tmp_path, seconds, said):
    run = read_run(write_run(tmp_path, [{"step": 0, "elapsed_s": seconds, "loss": 1.0}]))
    assert summary(run) == f"1 steps, {said} of training."


def test_the_verdict_names_what_was_found():
    clear, unknown = Finding("A", "clear", ""), Finding("B", "unknown", "")
    found = [Finding("The loss diverges", "found", ""), Finding("Overfitting", "found", "")]
    assert verdict([clear]) == "None of the known failures was found."
    assert verdict([*found, clear]) == "Found: The loss diverges; Overfitting."
    assert verdict([clear, unknown, unknown]).endswith("found. 2 could not be measured.")
