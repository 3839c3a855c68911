"""A judge from a Python file, and what it can and cannot judge."""

from pathlib import Path

import numpy as np
import pytest
import torch

from latentfoley.errors import InputError
from latentfoley.evaluation.ablation.ears import class_names, find_ears, require_labels
from latentfoley.evaluation.ablation.listening import require_ears
from latentfoley.evaluation.ablation.prompts import Prompt
from signals import noise

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"


def test_a_file_is_a_judge(judge):
    ear = find_ears(f"{judge}=weights.bin")
    assert (ear.name, class_names(ear)) == ("judge", ("low", "high"))


def test_the_judge_of_the_benchmarks_says_what_the_classifier_says(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import classifier

    torch.manual_seed(0)
    ensemble = classifier.Ensemble([classifier.Network(), classifier.Network()]).eval()
    classifier.save_classifier(ensemble, tmp_path / "weights.safetensors")
    ear = find_ears(f"{BENCHMARKS / 'ears.py'}={tmp_path / 'weights.safetensors'}")
    for duration_s in (1.0, 6.0):  # of one window, and of several
        sound = noise(duration_s)
        _, probabilities = classifier.classify(ensemble, [sound])
        features = ear.embed(sound)
        assert np.exp(features.logits) == pytest.approx(probabilities[0], rel=1e-5)
        assert features.windows.shape == (1, 2 * 2 * classifier.CHANNELS[-1])
    assert class_names(ear) == classifier.CLASSES
    with pytest.raises(InputError, match="got None"):
        find_ears(f"{BENCHMARKS / 'ears.py'}")


def test_a_name_is_an_embedder(bands):
    ear = find_ears("bands")
    assert (ear.name, class_names(ear)) == ("bands", ())


def test_mistakes(judge, tmp_path):
    with pytest.raises(InputError, match=r"Nearest there: judge\.py"):
        find_ears(str(tmp_path / "judges.py"))
    (tmp_path / "empty.py").write_text("")
    with pytest.raises(InputError, match="has no function"):
        find_ears(str(tmp_path / "empty.py"))


def test_labels_must_be_known(judge):
    ear = find_ears(str(judge))
    require_labels(ear, [Prompt("rain", "low")])
    with pytest.raises(InputError, match=r"'rain': .* the label 'lo'; .*Did you mean 'low'"):
        require_labels(ear, [Prompt("rain", "lo")])
    with pytest.raises(InputError, match="it has no label; allowed: low, high"):
        require_labels(ear, [Prompt("rain")])


@pytest.mark.parametrize("metric", ["recognised", "CLAP score"])
def test_a_metric_that_nobody_can_hear(bands, metric):
    with pytest.raises(InputError, match=f"'{metric}' needs an embedder: .*; given: bands"):
        require_ears([metric], [find_ears("bands")], [Prompt("rain")])
