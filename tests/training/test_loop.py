"""The training loop, with a task small enough to know by heart."""

import json
import math
import os
import signal

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from latentfoley.errors import TrainingError
from latentfoley.training.checkpoint import load_checkpoint
from latentfoley.training.loop import learning_rate_factor, train
from latentfoley.training.recipe import RunRecipe
from lines import Line, line_recipe


@pytest.fixture
def recipe(tmp_path):
    """A recipe of twelve steps in a fresh folder."""
    return lambda folder="run", **changes: line_recipe(tmp_path / folder, **changes)


def logged(recipe):
    lines = (recipe.folder / "log.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


class TestLearningRate:
    def test_it_rises_to_the_peak_and_falls_to_the_final_rate(self, recipe):
        run = recipe(steps=1000, warmup_steps=100, final_rate=0.05)
        factors = [learning_rate_factor(step, run) for step in range(1000)]
        assert factors[0] == 0.01
        assert factors[99] == factors[100] == 1.0
        assert factors[550] == pytest.approx((1 + 0.05) / 2)
        assert factors[999] == pytest.approx(0.05, abs=1e-4)
        assert factors[:100] == sorted(factors[:100])
        assert factors[100:] == sorted(factors[100:], reverse=True)

    @given(st.integers(1, 50), st.integers(0, 60), st.floats(0, 1))
    def test_it_is_a_share(self, steps, warmup_steps, final_rate):
        run = RunRecipe(
            folder="r",
            steps=steps,
            batch_size=1,
            learning_rate=1,
            warmup_steps=warmup_steps,
            final_rate=final_rate,
        )
        assert all(0 <= learning_rate_factor(step, run) <= 1 for step in range(steps))

    def test_every_step_is_given_its_own(self, recipe):
        run = recipe()
        task = Line(run)
        train(task, run)
        expected = [0.1 * learning_rate_factor(step, run) for step in range(12)]
        assert task.rates == pytest.approx(expected)


class TestRunning:
    def test_it_learns_previews_and_exports(self, recipe):
        run = recipe(steps=150, checkpoint_every=100, preview_every=60)
        task = Line(run)
        train(task, run)
        assert task.line.weight.item() == pytest.approx(2, abs=0.1)
        assert task.previews == [("previews", 60), ("previews", 120), ("previews", 150)]
        assert task.exported == run.folder / "model"
        assert load_checkpoint(run.folder)["step"] == 150

    def test_losses_are_logged(self, recipe):
        run = recipe(log_every=5)
        train(Line(run), run)
        assert [line["step"] for line in logged(run)] == [0, 5, 10]
        assert all(line["loss"] >= 0 for line in logged(run))
        assert list((run.folder / "tensorboard").iterdir())

    def test_a_finished_run_is_only_exported_again(self, recipe):
        train(Line(recipe()), recipe())
        task = Line(recipe())
        train(task, recipe())
        assert task.rates == []
        assert task.exported


class TestResuming:
    def test_it_equals_an_unbroken_run_bit_for_bit(self, recipe):
        whole = recipe("whole")
        unbroken = Line(whole)
        train(unbroken, whole)
        parts = recipe("parts")
        stopped = Line(parts, watch=lambda step: math.nan if step == 9 else 0.0)
        with pytest.raises(TrainingError):
            train(stopped, parts)
        resumed = Line(parts)
        train(resumed, parts)
        assert len(resumed.rates) == 4  # from step 8 on
        for ours, theirs in zip(resumed.line.parameters(), unbroken.line.parameters(), strict=True):
            assert torch.equal(ours, theirs)
        losses = {line["step"]: line["loss"] for line in logged(parts)}
        assert losses == {line["step"]: line["loss"] for line in logged(whole)}

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_a_signal_saves_and_stops_at_the_end_of_the_step(self, recipe, number):
        def watch(step):
            if step == 5:
                os.kill(os.getpid(), number)
            return 0.0

        before = signal.getsignal(number)
        run = recipe()
        task = Line(run, watch=watch)
        train(task, run)
        assert len(task.rates) == 6
        assert task.exported is False
        assert load_checkpoint(run.folder)["step"] == 6
        assert signal.getsignal(number) is before

    def test_a_checkpoint_of_another_model(self, recipe):
        train(Line(recipe()), recipe())
        with pytest.raises(TrainingError, match="is of another model than the recipe describes"):
            train(Line(recipe(), width=2), recipe())


class TestFailing:
    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
    def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_checkpoint(self, recipe, value):
        run = recipe()
        task = Line(run, watch=lambda step: value if step == 6 else 0.0)
        message = f"at step 6 watched became {value}; the last checkpoint .* is good.*now 0.1"
        with pytest.raises(TrainingError, match=message):
            train(task, run)
        assert load_checkpoint(run.folder)["step"] == 4
        assert task.exported is False
        assert [line["step"] for line in logged(run)] == list(range(6))

    def test_handlers_of_signals_come_back_after_an_error(self, recipe):
        before = signal.getsignal(signal.SIGTERM)
        with pytest.raises(TrainingError):
            train(Line(recipe(), watch=lambda step: math.nan), recipe())
        assert signal.getsignal(signal.SIGTERM) is before
