"""The networks that judge: shapes, the published size, and losses at their closed forms."""

import pytest
import torch

from latentfoley.training import discriminators as gan
from weights import normal


def maps(*scores):
    """The maps of a jury: an inner one and the score of each judge."""
    return [[torch.full((1, 2, 3), s), torch.full((1, 1, 4), s)] for s in scores]


class TestPatch:
    def test_every_patch_has_a_score(self):
        scores = gan.PatchDiscriminator(8)(normal(2, 1, 64, 64))
        assert scores.shape == (2, 1, 6, 6)

    def test_a_patch_is_70_wide(self):
        judge = gan.PatchDiscriminator(8)
        for stage in judge.stages:  # a norm sees the whole picture
            if isinstance(stage, torch.nn.GroupNorm):
                stage.forward = lambda x: x
        X = normal(1, 1, 128, 128).requires_grad_()
        judge(X)[0, 0, 7, 7].backward()
        rows = X.grad[0, 0].abs().sum(dim=1).nonzero()
        assert rows[-1] - rows[0] + 1 == 70


class TestWaveform:
    def test_five_periods_and_three_scales(self):
        judged = gan.WaveformDiscriminator(4)(normal(2, 1600))
        assert [len(judge) for judge in judged] == [5] * 5 + [6] * 3
        assert [judge[-1].shape[:2] for judge in judged] == [(2, 1)] * 8

    @pytest.mark.parametrize("period", [2, 3, 5, 7, 11])
    def test_a_period_looks_down_its_column_only(self, period):
        judge = gan.PeriodDiscriminator(period, 4)
        waveform = normal(1, 250 * period).requires_grad_()
        judge(waveform)[-1][0, 0, 1, 0].backward()
        (heard,) = waveform.grad[0].nonzero(as_tuple=True)
        assert len(heard) > 10
        assert (heard % period == 0).all()

    def test_a_length_that_does_not_divide_is_padded(self):
        assert gan.PeriodDiscriminator(7, 4)(normal(1, 1601))[0].shape[-1] == 7

    def test_a_clip_does_not_know_its_neighbours(self):
        judge, waveforms = gan.WaveformDiscriminator(4), normal(2, 800)
        together = judge(waveforms)
        for i in range(2):
            for both, alone in zip(together, judge(waveforms[[i]]), strict=True):
                torch.testing.assert_close(both[-1][[i]], alone[-1], rtol=1e-4, atol=1e-5)


class TestLosses:
    @pytest.mark.parametrize(
        ("real", "made", "loss"), [(1, -1, 0), (2, -3, 0), (0, 0, 1), (-1, 1, 2), (1, 1, 1)]
    )
    def test_hinge(self, real, made, loss):
        assert gan.hinge_loss(torch.tensor(float(real)), torch.tensor(float(made))) == loss

    def test_least_squares(self):
        assert gan.least_squares_loss(maps(1.0, 1.0), maps(0.0, 0.0)) == 0
        assert gan.least_squares_loss(maps(0.0, 1.0), maps(1.0, 0.5)) == 1 + 1 + 0.25

    def test_fooling_is_complete_where_all_say_real(self):
        assert gan.adversarial_loss(maps(1.0, 1.0)) == 0
        assert gan.adversarial_loss(maps(0.0, -1.0)) == 1 + 4

    def test_features_are_compared_without_the_score(self):
        real, made = maps(1.0, 2.0), maps(1.0, 2.5)
        assert gan.feature_matching_loss(real, real) == 0
        assert gan.feature_matching_loss(real, made) == 0.5
        made[0][-1] += 9
        assert gan.feature_matching_loss(real, made) == 0.5
