"""The protocol of audioldm_eval: its reading rules and its scores."""

import dataclasses

import numpy as np
import pytest

from latentfoley.evaluation import evaluate as evaluate_module
from latentfoley.evaluation.evaluate import Settings, evaluate
from latentfoley.evaluation.metrics.score import Bootstrap


@pytest.fixture
def as_the_tool(sets, bands, monkeypatch):
    monkeypatch.setattr(evaluate_module, "_TOOL_EMBEDDERS", ("bands",))
    settings = Settings(
        embedders=("bands",), protocol="audioldm_eval", bootstrap=Bootstrap(resamples=20)
    )
    return evaluate(*sets, settings).sections[1]


def test_files_are_read_as_the_tool_reads_them(as_the_tool):
    assert as_the_tool.preprocessing == {
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


def test_a_pooled_embedder_makes_sets_of_windows(sets, bands, monkeypatch):
    """As VGGish does: rows are windows, and resamples draw whole clips."""
    monkeypatch.setattr(bands, "pooled", True)
    embed = bands.embed

    def twice(self, waveforms):
        return [
            dataclasses.replace(heard, windows=np.repeat(heard.windows, 2, axis=0))
            for heard in embed(self, waveforms)
        ]

    monkeypatch.setattr(bands, "embed", twice)
    settings = Settings(embedders=("bands",), bootstrap=Bootstrap(resamples=20))
    scores = {score.name: score for score in evaluate(*sets, settings).sections[1].scores}
    assert scores["FD"].n == scores["KAD"].n == 48
    assert scores["KL softmax"].n == scores["FD per clip"].n == 24
