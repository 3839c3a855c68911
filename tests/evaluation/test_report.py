"""Table, JSON and page: every score with n and interval, and nothing that a file name can run."""

import io
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from rich.console import Console

from latentfoley.evaluation import report
from latentfoley.evaluation.evaluate import Settings, evaluate
from latentfoley.evaluation.metrics.score import Bootstrap


@pytest.fixture
def evaluation(sets, bands):
    return evaluate(*sets, Settings(embedders=("bands",), bootstrap=Bootstrap(resamples=20)))


def test_the_table_holds_every_score(evaluation):
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(report.table(evaluation))
    text = console.export_text()
    for section in evaluation.sections:
        for score in section.scores:
            line = next(line for line in text.splitlines() if f" {score.name} " in line)
            assert report.number(score.value) in line
            assert report.number(score.interval[0]) in line
    assert "bands: weights bbbbbbbbbbbb, classes 8 bands, sample_rate 16000" in text
    assert "resampler soxr-hq" in text


def test_json_is_strict_and_says_which_version(evaluation):
    record = json.loads(report.to_json(evaluation), parse_constant=pytest.fail)
    assert record["latentfoley"]
    assert record["n_generated"] == record["n_reference"] == 24


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.seen = set()

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)


@pytest.fixture
def html(sets, bands):
    for folder in sets:
        (folder / "00.wav").rename(folder / "<script>alert(1)<.wav")
    return report.page(
        evaluate(*sets, Settings(embedders=("bands",), bootstrap=Bootstrap(resamples=20)))
    )


def test_it_is_one_file_with_players_pictures_and_distributions(html):
    assert html.count("<audio") == 8
    assert html.count("data:audio/wav;base64,") == 8
    assert html.count("data:image/png;base64,") == 8
    assert html.count("<svg") == 3  # loudness, FD per clip, KL: where clips differ
    assert "Best by FD per clip" in html
    assert "Worst by FD per clip" in html
    assert not re.search(r'(src|href)="(?!data:)', html)
    tags = Tags()
    tags.feed(html)
    assert "script" not in tags.seen  # as a file name would have it


def test_a_histogram_of_equal_values():
    assert report.histogram(np.ones(5))["heights"].count(0.0) == 23
