"""The page: one file with everything inside, and nothing in it that a file name can run."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from latentfoley.evaluation.evaluate import evaluate
from latentfoley.evaluation.metrics.score import Bootstrap
from latentfoley.evaluation.page import histogram, page
from latentfoley.evaluation.sections import Settings


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
    return page(evaluate(*sets, Settings(embedders=("bands",), bootstrap=Bootstrap(resamples=20))))


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
    assert histogram(np.ones(5)).count("<rect") == 24
