"""The protocol of audioldm_eval: its reading rules and its scores."""

import dataclasses

import pytest

from latentfoley.evaluation import evaluate as evaluate_module
from latentfoley.evaluation.evaluate import evaluate
from latentfoley.evaluation.score import Bootstrap
from latentfoley.evaluation.sections import Settings


@pytest.fixture
def as_the_tool(sets, bands, monkeypatch):
    monkeypatch.setattr(evaluate_module, "_TOOL_EMBEDDERS", ("bands",))
    settings = Settings(
        embedders=("bands",), protocol="audioldm_eval", bootstrap=Bootstrap(resamples=20)
    )
    return evaluate(*sets, settings).sections[1]


def test_files_are_read_as_the_tool_reads_them(as_the_tool):
    assert as_the_tool.reading == {
        "sample_rate": 16_000,
        "resampler": "sinc-hann-6",
        "channels": "first",
        "level": "zero-mean",
        "min_samples": 32_000,
    }


def test_its_scores_and_no_others(as_the_tool):
    names = [score.name for score in as_the_tool.scores]
    assert names == ["FD", "IS, 10 splits", "KL softmax", "KL sigmoid"]


def test_settings_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().limit = 3
