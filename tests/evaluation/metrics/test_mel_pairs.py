"""PSNR and SSIM on mel pictures: by hand and against torchmetrics."""

import math

import numpy as np
import pytest
import torch
from torchmetrics.functional.image import structural_similarity_index_measure

from latentfoley.errors import InputError
from latentfoley.evaluation.metrics.mel_pairs import PSNR_CEILING_DB, psnr_score, ssim, ssim_score


def mel(seed=0, n_frames=40):
    """A log-mel in nats between -60 and 0 dB."""
    generator = torch.Generator().manual_seed(seed)
    return -torch.rand(n_frames, 64, generator=generator) * 60 * math.log(10) / 20


def test_psnr_of_a_known_gain():
    quieter = mel() - 10 * math.log(10) / 20  # 10 dB everywhere: 0.1 of the range, MSE 0.01
    assert psnr_score([(quieter, mel())] * 2).value == pytest.approx(20.0, abs=1e-4)


def test_pairs_without_a_difference_are_counted():
    score = psnr_score([(mel(), mel()), (mel(1), mel())])
    assert score.n == 2
    assert score.per_clip[0] == PSNR_CEILING_DB


def test_ssim_is_torchmetrics():
    made, real = (torch.rand(1, 1, 50, 64, dtype=torch.float64) for _ in range(2))
    _, windows = structural_similarity_index_measure(
        made, real, data_range=1.0, sigma=1.5, return_full_image=True
    )
    expected = windows[0, 0, 5:-5, 5:-5].mean()  # it mirrors the edges; ours stays inside
    assert ssim(made[0, 0], real[0, 0]) == pytest.approx(float(expected), abs=1e-6)


@pytest.mark.parametrize("score", [psnr_score, ssim_score])
def test_noise_lowers_it(score):
    values = [score([(mel() + a * mel(1), mel())] * 2).value for a in (0.0, 0.05, 0.3)]
    assert values == sorted(values, reverse=True)
    assert np.isfinite(values).all()


@pytest.mark.parametrize("score", [psnr_score, ssim_score])
def test_a_fragment_is_refused(score):
    with pytest.raises(InputError, match="11 frames"):
        score([(mel(n_frames=10), mel(n_frames=10))] * 2)
