"""A log with a known failure gets the verdict of that failure, and no other."""

import math

import numpy as np
import pytest

from latentfoley.training.report.losses import (
    DIVERGING,
    OVERFITTING,
    STUCK,
    UNFINISHED,
    diagnose_log,
)
from latentfoley.training.report.run import read_run
from runs import course, falling, flat, healthy, rising, turning, write_run


def found(folder, records, metadata=None) -> list[str]:
    """Return the names of what is found in a log."""
    run = read_run(write_run(folder, records, metadata))
    return [finding.name for finding in diagnose_log(run) if finding.status == "found"]


@pytest.mark.parametrize(
    ("train", "validation", "names"),
    [
        (healthy, healthy, []),
        (healthy, None, []),
        (rising, rising, [DIVERGING]),
        (flat, flat, [STUCK]),
        (falling, falling, [UNFINISHED]),
        (falling, turning, [OVERFITTING]),
        (healthy, turning, [OVERFITTING]),
    ],
    ids=["healthy", "not validated", "diverging", "stuck", "unfinished", "overfit", "overfit late"],
)
@pytest.mark.parametrize("name", ["loss", "l1", "mel", "contrast"])
def test_each_course_has_its_finding_and_no_other(tmp_path, train, validation, names, name):
    assert found(tmp_path, course(train, validation, name=name)) == names


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_verdicts_do_not_depend_on_the_unit_of_the_loss(tmp_path, factor):
    for train, validation, names in (
        (healthy, healthy, []),
        (rising, rising, [DIVERGING]),
        (falling, turning, [OVERFITTING]),
    ):
        records = course(lambda x, f=train: factor * f(x), lambda x, f=validation: factor * f(x))
        assert found(tmp_path, records) == names


def test_a_healthy_run_is_seldom_accused(tmp_path):
    """The noise of a batch of 2 is a third of the loss; a chance trend may pass once in twenty."""
    wrong = 0
    for k in range(40):
        rng = np.random.default_rng(k)
        records = course(healthy, noise=0)
        for record in records:
            record["loss"] *= 1 + 0.3 * rng.standard_normal()
        wrong += bool(found(tmp_path, records))
    assert wrong <= 5


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_no_number(tmp_path, value):
    records = course(healthy, others=[("loss_low_noise", healthy)])
    records[150]["loss_low_noise"] = value
    run = read_run(write_run(tmp_path, records))
    (finding,) = [finding for finding in diagnose_log(run) if finding.status == "found"]
    assert finding.name == DIVERGING
    assert finding.figure == f"loss_low_noise is {value} at step 1500"


def test_a_run_from_trained_weights_may_begin_at_its_floor(tmp_path):
    metadata = {"kind": "vae", "recipe": {"start": "model"}}
    assert found(tmp_path, course(flat, name="l1"), metadata) == []


def test_a_short_log_is_not_judged(tmp_path):
    run = read_run(write_run(tmp_path, course(rising)[:15]))
    for finding in diagnose_log(run):
        assert finding.status == "unknown"
        assert finding.advice.startswith("Not measured, because ")


def test_every_verdict_rests_on_a_figure(tmp_path):
    run = read_run(write_run(tmp_path, course(healthy, healthy)))
    for finding in diagnose_log(run):
        assert finding.status == "clear"
        assert any(letter.isdigit() for letter in finding.figure)
