"""What every training task is held to: it resumes bit for bit."""

import contextlib

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


def assert_same_weights(first, second):
    """Compare every tensor of two tasks bit for bit."""
    assert first.modules.keys() == second.modules.keys()
    for name, module in first.modules.items():
        other = second.modules[name].state_dict()
        for key, tensor in module.state_dict().items():
            assert torch.equal(tensor, other[key]), f"{name}.{key}"


def _without_preview(task):
    task.preview = lambda folder, step: None
    return task


def _interrupted(step):
    def interrupted(number):
        if number == INTERRUPT_AT:
            raise InterruptedError
        return step(number)

    return interrupted
