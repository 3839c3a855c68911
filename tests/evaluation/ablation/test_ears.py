"""Who can compute what; a judge is held to the labels of the prompts."""

import pytest

from latentfoley.errors import InputError
from latentfoley.evaluation.ablation.ears import class_names, require_ears
from latentfoley.evaluation.ablation.prompts import Prompt
from latentfoley.evaluation.embedders import find_embedder


def test_a_judge_has_class_names(judge, bands):
    assert class_names(find_embedder(judge)) == ("low", "high")
    assert class_names(find_embedder("bands")) == ()


def test_labels_must_be_known(judge):
    ears = [find_embedder(judge)]
    require_ears(["recognised", "loudness"], ears, [Prompt("rain", "low")])
    with pytest.raises(InputError, match=r"'rain': .* the label 'lo'; .*Did you mean 'low'"):
        require_ears(["recognised"], ears, [Prompt("rain", "lo")])
    with pytest.raises(InputError, match="it has no label; allowed: low, high"):
        require_ears(["recognised"], ears, [Prompt("rain")])
    require_ears(["loudness"], ears, [Prompt("rain")])


@pytest.mark.parametrize("metric", ["recognised", "CLAP score"])
def test_a_metric_that_nobody_can_hear(bands, metric):
    with pytest.raises(InputError, match=f"'{metric}' needs an embedder: .*; given: bands"):
        require_ears([metric], [find_embedder("bands")], [Prompt("rain")])
