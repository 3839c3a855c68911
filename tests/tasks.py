"""What every training task is held to: it resumes bit for bit."""

import contextlib
import math

import pytest
import torch

from latentfoley.training.loop import train

INTERRUPT_AT = 3


class InterruptedError(Exception):
    """Stands for a power cut."""


def run_recipe(folder, **changes):
    """Values of a `RunRecipe` of four small steps."""
    values = {
        "steps": 4,
        "batch_size": 2,
        "learning_rate": 1e-3,
        "warmup_steps": 0,
        "precision": "fp32",
        "checkpoint_every": 2,
        "preview_every": 100,
        "log_every": 1,
    }
    return values | {"folder": folder} | changes


def unbroken_and_resumed(make_task, make_recipe):
    """Train twice, once with an interruption; return both tasks."""
    unbroken = _without_preview(make_task(make_recipe("unbroken")))
    train(unbroken, unbroken.recipe.run)
    cut = _without_preview(make_task(make_recipe("resumed")))
    cut.step = _interrupted(cut.step)
    with contextlib.suppress(InterruptedError):
        train(cut, cut.recipe.run)
    resumed = _without_preview(make_task(make_recipe("resumed")))
    train(resumed, resumed.recipe.run)
    return unbroken, resumed


def in_parts_and_whole(make_task, make_recipe, n_steps=3):
    """Make the same steps with a batch of four in one part, and in two; return both tasks."""
    tasks = [make_task(make_recipe(run={"batch_size": 4, "accumulate": n})) for n in (1, 2)]
    for task in tasks:
        for optimizer in task.optimizers.values():
            optimizer.param_groups[0]["lr"] = 1e-4
    losses = [[task.step(step) for step in range(n_steps)] for task in tasks]
    for whole, parts in zip(*losses, strict=True):
        assert parts == pytest.approx(whole, rel=1e-3, abs=1e-5)
    return tasks


def assert_finite(task):
    """Check that losses are finite, and gradients once fp16 has found the scale of its loss."""
    for step in range(20):
        losses = task.step(step)
        norm = losses.pop("gradient_norm")
        assert all(math.isfinite(value) for value in losses.values())
        if math.isfinite(norm):
            return
        assert task.recipe.run.precision == "fp16"
    raise AssertionError("no gradient of twenty was finite")


def assert_close_weights(first, second):
    """Compare every tensor of two tasks, but for what the order of sums does to fp32."""
    for name, module in first.modules.items():
        other = second.modules[name].state_dict()
        for key, tensor in module.state_dict().items():
            torch.testing.assert_close(tensor, other[key], rtol=0, atol=1e-5, msg=f"{name}.{key}")


def assert_same_weights(first, second):
    """Compare every tensor of two tasks bit for bit."""
    assert first.modules.keys() == second.modules.keys()
    for name, module in first.modules.items():
        other = second.modules[name].state_dict()
        for key, tensor in module.state_dict().items():
            assert torch.equal(tensor, other[key]), f"{name}.{key}"


def assert_validates_alike(task):
    """Check that held-out losses differ by the weights alone."""
    values = task.validate()
    assert values["validation_loss"] > 0
    assert all(name.startswith("validation_") for name in values)
    assert task.validate() == values
    task.step(0)
    assert task.validate() != values


def _without_preview(task):
    task.preview = lambda folder, step: None
    return task


def _interrupted(step):
    def interrupted(number):
        if number == INTERRUPT_AT:
            raise InterruptedError
        return step(number)

    return interrupted
