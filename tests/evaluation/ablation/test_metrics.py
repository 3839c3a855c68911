"""Which embedder can compute what; the labels of prompts are classes of the classifier."""

import pytest

from latentfoley.errors import InputError
from latentfoley.evaluation.ablation.metrics import require_embedders
from latentfoley.evaluation.embedders import class_names, find_embedder
from latentfoley.evaluation.sets.prompts import Prompt


def test_a_classifier_has_class_names(classifier, bands):
    assert class_names(find_embedder(classifier)) == ("low", "high")
    assert class_names(find_embedder("bands")) == ()


def test_labels_must_be_known(classifier):
    embedders = [find_embedder(classifier)]
    require_embedders(["recognised", "loudness"], embedders, [Prompt("rain", label="low")])
    with pytest.raises(InputError, match=r"'rain': .* the label 'lo'; .*Did you mean 'low'"):
        require_embedders(["recognised"], embedders, [Prompt("rain", label="lo")])
    with pytest.raises(InputError, match="it has no label; allowed: low, high"):
        require_embedders(["recognised"], embedders, [Prompt("rain")])
    require_embedders(["loudness"], embedders, [Prompt("rain")])


@pytest.mark.parametrize("metric", ["recognised", "CLAP score"])
def test_a_metric_that_no_embedder_can_compute(bands, metric):
    with pytest.raises(InputError, match=f"'{metric}' needs an embedder: .*; given: bands"):
        require_embedders([metric], [find_embedder("bands")], [Prompt("rain")])
