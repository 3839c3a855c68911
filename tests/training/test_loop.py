"""The training loop, with a task small enough to know by heart."""

import json
import math
import os
import signal

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from latentfoley.data.recordings import generator
from latentfoley.errors import TrainingError
from latentfoley.training.checkpoint import load_checkpoint
from latentfoley.training.loop import autocast, learning_rate_factor, train
from latentfoley.training.recipe import RunRecipe


class Line:
    """Fit w x + b to 2 x - 1. What `watch` gives for a step is a loss too."""

    def __init__(self, width=1, watch=lambda step: 0.0):
        torch.manual_seed(0)
        self.watch, self.rates, self.previews, self.exported = watch, [], [], False
        self.line = nn.Linear(1, width)
        self.modules = {"line": self.line}
        self.optimizers = {"line": torch.optim.AdamW(self.line.parameters())}

    def step(self, step):
        self.rates.append(self.optimizers["line"].param_groups[0]["lr"])
        x = torch.from_numpy(generator(0, step).standard_normal((8, 1))).float()
        loss = (self.line(x) - (2 * x - 1)).square().mean()
        self.optimizers["line"].zero_grad()
        loss.backward()
        self.optimizers["line"].step()
        return {"loss": loss.item(), "watched": self.watch(step)}

    def preview(self, folder, step):
        self.previews.append((folder.name, step))

    def export(self, folder):
        self.exported = folder


@pytest.fixture
def recipe(tmp_path):
    """A recipe of twelve steps in a fresh folder."""

    def recipe(folder="run", **changes):
        values = {"steps": 12, "batch_size": 8, "learning_rate": 0.1, "warmup_steps": 3}
        values |= {"checkpoint_every": 4, "preview_every": 6, "log_every": 1, "precision": "fp32"}
        return RunRecipe(folder=tmp_path / folder, **(values | changes))

    return recipe


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
        task, run = Line(), recipe()
        train(task, run)
        expected = [0.1 * learning_rate_factor(step, run) for step in range(12)]
        assert task.rates == pytest.approx(expected)


class TestRunning:
    def test_it_learns_previews_and_exports(self, recipe):
        task, run = Line(), recipe(steps=150, checkpoint_every=100, preview_every=60)
        train(task, run)
        assert task.line.weight.item() == pytest.approx(2, abs=0.1)
        assert task.previews == [("previews", 60), ("previews", 120), ("previews", 150)]
        assert task.exported == run.folder / "model"
        assert load_checkpoint(run.folder)["step"] == 150

    def test_losses_are_logged(self, recipe):
        run = recipe(log_every=5)
        train(Line(), run)
        assert [line["step"] for line in logged(run)] == [0, 5, 10]
        assert all(line["loss"] >= 0 for line in logged(run))
        assert list((run.folder / "tensorboard").iterdir())

    def test_a_finished_run_is_only_exported_again(self, recipe):
        train(Line(), recipe())
        task = Line()
        train(task, recipe())
        assert task.rates == []
        assert task.exported


class TestResuming:
    def test_it_equals_an_unbroken_run_bit_for_bit(self, recipe):
        unbroken, whole = Line(), recipe("whole")
        train(unbroken, whole)
        parts = recipe("parts")
        stopped = Line(watch=lambda step: math.nan if step == 9 else 0.0)
        with pytest.raises(TrainingError):
            train(stopped, parts)
        resumed = Line()
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
        task, run = Line(watch=watch), recipe()
        train(task, run)
        assert len(task.rates) == 6
        assert task.exported is False
        assert load_checkpoint(run.folder)["step"] == 6
        assert signal.getsignal(number) is before

    def test_a_checkpoint_of_another_model(self, recipe):
        train(Line(), recipe())
        with pytest.raises(TrainingError, match="is of another model than the recipe describes"):
            train(Line(width=2), recipe())


class TestFailing:
    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
    def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_checkpoint(self, recipe, value):
        task, run = Line(watch=lambda step: value if step == 6 else 0.0), recipe()
        message = f"watched became {value} at step 6; the last checkpoint .* is good.*now 0.1"
        with pytest.raises(TrainingError, match=message):
            train(task, run)
        assert load_checkpoint(run.folder)["step"] == 4
        assert task.exported is False
        assert [line["step"] for line in logged(run)] == list(range(6))

    def test_handlers_of_signals_come_back_after_an_error(self, recipe):
        before = signal.getsignal(signal.SIGTERM)
        with pytest.raises(TrainingError):
            train(Line(watch=lambda step: math.nan), recipe())
        assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(
    ("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)]
)
def test_precision_is_that_of_the_recipe(recipe, precision, dtype):
    with autocast(recipe(precision=precision), torch.device("cpu")):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype
