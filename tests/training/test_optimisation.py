"""One step: micro-batches make the gradient of the whole; what is not finite stops the run."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from latentfoley.errors import RecipeError, TrainingError, TrainingWarning
from latentfoley.training.optimisation import Optimisation, cached, mean_losses
from lines import line_recipe

CPU = torch.device("cpu")


def optimisation(**changes):
    return Optimisation(line_recipe("run", **changes), CPU)


def squares(weight, micro_batches):
    for (x,) in micro_batches:
        yield (weight * x - 1).square().mean()


class TestMicroBatches:
    @given(st.integers(1, 4), st.integers(1, 5))
    def test_every_row_is_in_one_part_and_all_are_as_long(self, accumulate, rows):
        batch = torch.arange(accumulate * rows)
        micro_batches = optimisation(batch_size=len(batch), accumulate=accumulate).micro_batches(
            batch, 2 * batch
        )
        assert [len(x) for x, _ in micro_batches] == [rows] * accumulate
        assert sorted(torch.cat([x for x, _ in micro_batches]).tolist()) == batch.tolist()
        assert all(torch.equal(2 * x, y) for x, y in micro_batches)

    @pytest.mark.parametrize("accumulate", [2, 4, 8])
    def test_they_make_the_step_of_the_whole(self, accumulate):
        batch = torch.linspace(-1, 2, 8)
        weights, norms = [], []
        for n in (1, accumulate):
            weight = nn.Parameter(torch.tensor(3.0))
            down = optimisation(accumulate=n, gradient_clip=0.5)
            optimizer = torch.optim.SGD([weight], lr=0.1)
            norms.append(down.step(squares(weight, down.micro_batches(batch)), optimizer))
            weights.append(weight.detach())
        torch.testing.assert_close(weights[0], weights[1])
        torch.testing.assert_close(norms[0], norms[1])

    def test_a_batch_that_does_not_divide(self):
        with pytest.raises(
            RecipeError, match="batch_size 8 does not divide into 3 equal micro-batches"
        ):
            optimisation(accumulate=3)

    def test_a_graph_is_kept_for_one_part_alone(self):
        calls = []
        forward = cached(lambda part: calls.append(part) or part, [(1,)])
        assert (forward((1,)), forward((1,)), calls) == ((1,), (1,), [(1,)])
        forward = cached(lambda part: calls.append(part) or part, [(1,), (2,)])
        assert [forward((2,)), forward((2,))] == [(2,), (2,)]
        assert calls == [(1,), (2,), (2,)]

    def test_losses_are_means_over_parts(self):
        micro_batches = [{"a": torch.tensor(1.0)}, {"a": torch.tensor(4.0)}]
        assert mean_losses(micro_batches) == {"a": 2.5}


class TestClipping:
    @pytest.mark.parametrize(("clip", "expected"), [(1.0, 1.0), (1e9, 12.0)])
    def test_a_gradient_is_no_longer_than_allowed(self, clip, expected):
        weight = nn.Parameter(torch.tensor(2.0))
        down, optimizer = optimisation(gradient_clip=clip), torch.optim.SGD([weight], lr=1.0)
        norm = down.step([3 * weight.square()], optimizer)
        assert norm == pytest.approx(12.0)  # before it is clipped
        assert weight.item() == pytest.approx(2.0 - expected, rel=1e-5)


class TestNotFinite:
    @pytest.mark.parametrize("precision", ["fp32", "bf16"])
    @pytest.mark.parametrize("value", [math.nan, math.inf])
    def test_the_weights_stay_as_they_were(self, precision, value, monkeypatch):
        monkeypatch.setattr("latentfoley.training.optimisation.has_bf16", lambda device: True)
        weight = nn.Parameter(torch.tensor(2.0))
        down, optimizer = optimisation(precision=precision), torch.optim.SGD([weight], lr=1.0)
        with pytest.raises(TrainingError, match=r"the gradient's norm became .*is good. Lower"):
            down.step([value * weight], optimizer)
        assert weight.item() == 2.0

    def test_in_fp16_the_step_is_left_out_and_the_scale_halved_until_that_helps_no_more(self):
        weight = nn.Parameter(torch.tensor(2.0))
        down, optimizer = optimisation(precision="fp16"), torch.optim.SGD([weight], lr=1.0)
        before = down.scaler.get_scale()
        assert not down.step([math.inf * weight], optimizer).isfinite()
        assert (weight.item(), down.scaler.get_scale()) == (2.0, before / 2)
        with pytest.raises(TrainingError, match="the gradient's norm became"):
            for _ in range(20):
                down.step([math.inf * weight], optimizer)
        assert weight.item() == 2.0


class TestPrecision:
    @pytest.mark.parametrize(
        ("precision", "dtype"),
        [("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)],
    )
    def test_it_is_that_of_the_recipe(self, precision, dtype, monkeypatch):
        monkeypatch.setattr("latentfoley.training.optimisation.has_bf16", lambda device: True)
        with optimisation(precision=precision).autocast():
            assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype

    def test_bf16_that_would_be_emulated_is_fp32_and_that_is_said(self, monkeypatch):
        monkeypatch.setattr("latentfoley.training.optimisation.has_bf16", lambda device: False)
        with pytest.warns(TrainingWarning, match=r"run\.precision is bf16.*in fp32"):
            down = optimisation(precision="bf16")
        with down.autocast():
            assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32

    def test_in_fp16_small_gradients_survive(self):
        """A gradient of 1e-8 is nothing in fp16; scaled up and down again it is there."""
        weight = nn.Parameter(torch.ones(2, 2))
        down = optimisation(precision="fp16", gradient_clip=1e9)
        optimizer = torch.optim.SGD([weight], lr=1e7)

        def losses():
            with down.autocast():
                yield 1e-8 * (torch.eye(2) @ weight).float().sum()

        down.step(losses(), optimizer)
        torch.testing.assert_close(weight.detach(), torch.full((2, 2), 0.9), rtol=0, atol=0.01)
