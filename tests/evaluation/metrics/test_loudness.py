"""Scores of levels: silence, clipping and loudness of a set."""

import numpy as np
import pytest

from latentfoley.evaluation.metrics.loudness import (
    clipping_rate,
    loudness_score,
    silence_rate,
    silent_frames_score,
)
from latentfoley.levels import loudness, measure
from signals import click, noise, tone


def levels(*clips):
    return [measure(clip, 16_000) for clip in clips]


def test_the_mean_over_clips():
    score = loudness_score([measure(noise(1.0), 16_000)] * 2)
    assert score.value == pytest.approx(loudness(noise(1.0), 16_000))


def test_half_silent_clips_are_no_silent_clips_and_half_of_the_frames():
    half = levels(*[np.concatenate([noise(0.5), np.zeros(8_000, np.float32)])] * 4)
    assert silence_rate(half).value == 0
    assert silent_frames_score(half).value == pytest.approx(0.5, abs=0.02)


def test_silent_clips_are_counted():
    score = silence_rate(levels(np.zeros(100, np.float32), noise(0.1), noise(0.1, amplitude=9e-5)))
    assert score.value == pytest.approx(2 / 3)


def test_clipped_clips_are_counted_and_single_peaks_are_not():
    clipped = np.clip(3 * tone(), -1, 1).astype(np.float32)
    score = clipping_rate(levels(clipped, tone(amplitude=1.0)[:1], click(amplitude=1.0), noise()))
    assert score.value == 0.25
