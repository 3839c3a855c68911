"""Spectral distances: zero for the same sound, growing with what is heard."""

import numpy as np
import pytest
import torch

from latentfoley.config import MelConfig
from latentfoley.spectral import RESOLUTIONS, mel_distance, stft_distance
from signals import noise, tone


def batch(*waveforms):
    return torch.from_numpy(np.stack(waveforms))


def mel(real, made):
    return mel_distance(real, made, MelConfig())


@pytest.mark.parametrize("distance", [stft_distance, mel])
class TestBoth:
    def test_equal_sounds_have_none(self, distance):
        assert (
            distance(
                batch(noise(0.2), tone(duration_s=0.2)), batch(noise(0.2), tone(duration_s=0.2))
            )
            == 0
        )

    def test_the_sign_is_not_heard(self, distance):
        assert distance(batch(noise(0.2)), batch(-noise(0.2))) < 1e-5

    def test_it_grows_with_what_is_added(self, distance):
        real = batch(tone(duration_s=0.2))
        distances = [
            float(distance(real, real + a * batch(noise(0.2)))) for a in (0.001, 0.01, 0.1)
        ]
        assert distances == sorted(distances)
        assert distances[0] > 0

    @pytest.mark.parametrize("silent", ["real", "made"])
    def test_silence_gives_a_number_and_a_gradient(self, distance, silent):
        sounds = {"real": batch(noise(0.2)), "made": batch(noise(0.2, seed=1))}
        sounds[silent] = torch.zeros_like(sounds[silent])
        sounds["made"].requires_grad_()
        loss = distance(sounds["real"], sounds["made"])
        loss.backward()
        assert loss.isfinite()
        assert sounds["made"].grad.isfinite().all()

    def test_it_pulls_towards_the_real_sound(self, distance):
        real, made = batch(noise(0.1)), batch(noise(0.1, seed=1)).requires_grad_()
        before = distance(real, made)
        before.backward()
        step = 1e-3 * made.grad / made.grad.norm()
        assert distance(real, made - step) < before


def test_a_factor_is_known_in_nats():
    # e in amplitude: exactly 1 nat in every band that is above the floor.
    loud = batch(noise(0.5))
    assert mel(loud, loud / np.e) == pytest.approx(1.0, abs=1e-3)


def test_half_the_amplitude_is_known_too():
    loud = batch(noise(0.5))
    # |S - S/2| / |S| = 1/2 and ln 2, the same in every resolution; the floor takes a little.
    assert stft_distance(loud, loud / 2) == pytest.approx(0.5 + np.log(2), abs=0.01)


def test_three_resolutions():
    assert RESOLUTIONS == (256, 512, 1024)
