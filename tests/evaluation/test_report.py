"""Table and JSON: every score with n and interval; files are written whole or refused."""

import io
import json

import pytest
from rich.console import Console

from latentfoley.errors import InputError
from latentfoley.evaluation import report
from latentfoley.evaluation.evaluate import evaluate
from latentfoley.evaluation.metrics.score import Bootstrap
from latentfoley.evaluation.sections import Settings


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
    assert set(report.caveats(evaluation)) >= {"FD", "KAD", "IS"}


def test_a_place_that_cannot_be_written_to(tmp_path):
    with pytest.raises(InputError, match="cannot be written"):
        report.write(tmp_path, "x")
