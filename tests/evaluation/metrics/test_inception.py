"""Inception Score: its two ends, torchmetrics, and splits."""

import numpy as np
import pytest
import torch

from latentfoley.errors import InputError
from latentfoley.evaluation.metrics.inception import inception_score


def logits(n=60, classes=7, seed=0):
    return 3 * np.random.default_rng(seed).normal(size=(n, classes))


def test_every_class_once_and_sure_is_the_number_of_classes():
    assert inception_score(1e3 * np.eye(8)).value == pytest.approx(8.0)


def test_clips_all_alike_are_one():
    assert inception_score(np.tile(logits(1), (9, 1))).value == pytest.approx(1.0)
    assert inception_score(np.zeros((9, 4))).value == pytest.approx(1.0)


@pytest.mark.filterwarnings("ignore:Metric `Inc", "ignore:std", "ignore:The ``compute")
def test_it_is_torchmetrics():
    from torchmetrics.image.inception import InceptionScore

    rows = logits()
    metric = InceptionScore(torch.nn.Identity(), splits=1)
    metric.features.append(torch.from_numpy(rows))
    assert inception_score(rows).value == pytest.approx(float(metric.compute()[0]), rel=1e-9)


def test_splits_are_the_mean_over_parts_of_the_seeded_order():
    rows = logits(60)
    order = np.random.RandomState(2020).permutation(60)
    parts = [inception_score(rows[order[k : k + 6]]).value for k in range(0, 60, 6)]
    assert inception_score(rows, splits=10).value == pytest.approx(np.mean(parts))


def test_splitting_lowers_it():
    assert inception_score(logits(), splits=10).value < inception_score(logits()).value


def test_order_does_not_matter_to_the_exact_score():
    assert inception_score(logits()[::-1]).value == pytest.approx(inception_score(logits()).value)


@pytest.mark.parametrize("splits", [0, -1, 31])
def test_impossible_splits(splits):
    with pytest.raises(InputError, match="parts"):
        inception_score(logits(60), splits=splits)
