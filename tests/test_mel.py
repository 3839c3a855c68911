"""The log-mel front end: laws of framing and level, then librosa as oracle."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from latentfoley.config import ClapFrontEnd, MelConfig
from latentfoley.errors import InputError
from latentfoley.mel import SILENCE, log_mel, magnitude, mel_filters, power
from signals import chirp, click, noise, tone

FRAMINGS = ["trainer", "inference"]
CONFIGS = {framing: MelConfig(framing=framing) for framing in FRAMINGS}
SMALL = {
    framing: MelConfig(n_fft=64, hop_length=16, n_mels=8, framing=framing) for framing in FRAMINGS
}
CENTRE = {"trainer": 80, "inference": 0}  # sample in the middle of frame 0


def mel_of(waveform, config):
    """Log-mel of one waveform as (T, F)."""
    return log_mel(torch.from_numpy(waveform)[None], config)[0, 0]


def band_centres_hz(config):
    """Where each filter is highest."""
    return mel_filters(config).argmax(dim=1) * config.sample_rate / config.n_fft


class TestFraming:
    @pytest.mark.parametrize("framing", FRAMINGS)
    @settings(max_examples=60, deadline=None)
    @given(n_samples=st.integers(16, 2000))
    def test_as_many_frames_as_promised(self, framing, n_samples):
        config = SMALL[framing]
        frames = log_mel(torch.zeros(1, n_samples), config).shape[-2]
        assert frames == n_samples // 16 + (framing == "inference")

    @pytest.mark.parametrize("framing", FRAMINGS)
    @pytest.mark.parametrize("frame", [10, 37, 60])
    def test_a_click_lies_in_the_middle_of_its_frame(self, framing, frame):
        config = CONFIGS[framing]
        at = CENTRE[framing] + frame * config.hop_length
        picture = mel_of(click(at / 16_000), config)
        assert picture.mean(dim=1).argmax() == frame
        torch.testing.assert_close(picture[frame - 1], picture[frame + 1], rtol=0, atol=1e-3)

    @pytest.mark.parametrize("framing", FRAMINGS)
    def test_one_hop_later_is_one_frame_later(self, framing):
        config = CONFIGS[framing]
        sound = noise(1.0)
        later = np.concatenate([noise(160 / 16_000, seed=1), sound])[: len(sound)]
        # Frames that touch the mirrored ends differ: up to half a window, four frames.
        before, after = mel_of(sound, config)[4:-5], mel_of(later, config)[5:-4]
        torch.testing.assert_close(after, before, rtol=0, atol=1e-4)

    def test_every_clip_of_a_batch_is_seen_alone(self):
        sounds = [torch.from_numpy(noise(0.2, seed=s)) for s in range(3)]
        batch = log_mel(torch.stack(sounds), MelConfig())
        for sound, picture in zip(sounds, batch, strict=True):
            torch.testing.assert_close(log_mel(sound[None], MelConfig())[0], picture)

    @pytest.mark.parametrize("framing", FRAMINGS)
    @pytest.mark.parametrize("n_samples", [160, 161, 431, 433, 512, 513])
    def test_sounds_shorter_than_the_padding_stand_in_silence(self, framing, n_samples):
        picture = mel_of(tone()[:n_samples], CONFIGS[framing])
        assert picture.isfinite().all()
        assert picture.max() > SILENCE + 3

    @pytest.mark.parametrize("n_samples", [0, 1, 159])
    def test_less_than_a_hop_is_refused(self, n_samples):
        with pytest.raises(InputError, match=f"at least 160 samples .one hop., got {n_samples}"):
            log_mel(torch.zeros(1, n_samples), MelConfig())


class TestValues:
    @pytest.mark.parametrize("framing", FRAMINGS)
    def test_silence_is_the_logarithm_of_the_floor(self, framing):
        picture = mel_of(np.zeros(3200, np.float32), CONFIGS[framing])
        assert pytest.approx(math.log(1e-5)) == SILENCE
        torch.testing.assert_close(picture, torch.full_like(picture, SILENCE))

    @pytest.mark.parametrize("frequency_hz", [100.0, 440.0, 1000.0, 2500.0, 7000.0])
    def test_a_tone_is_loudest_in_its_band(self, frequency_hz):
        config = MelConfig()
        loudest = mel_of(tone(frequency_hz), config)[50].argmax()
        nearest = (band_centres_hz(config) - frequency_hz).abs().argmin()
        assert abs(int(loudest) - int(nearest)) <= 1

    @settings(max_examples=20, deadline=None)
    @given(gain=st.floats(0.1, 1.0))
    def test_a_gain_is_a_shift(self, gain):
        loud, soft = (mel_of(g * noise(0.1), MelConfig()) for g in (1.0, np.float32(gain)))
        torch.testing.assert_close(soft, loud + math.log(gain), rtol=0, atol=1e-4)

    def test_a_full_scale_tone_reaches_two_nats(self):
        loudest = mel_of(tone(440, amplitude=1.0), MelConfig()).max()
        assert float(loudest) == pytest.approx(2.0, abs=0.1)

    def test_the_sign_is_not_heard(self):
        torch.testing.assert_close(mel_of(-chirp(), MelConfig()), mel_of(chirp(), MelConfig()))

    def test_gradients_flow_to_the_waveform(self):
        waveform = torch.from_numpy(noise(0.1))[None].requires_grad_()
        log_mel(waveform, MelConfig()).sum().backward()
        assert waveform.grad.isfinite().all() and waveform.grad.abs().max() > 0


class TestFilters:
    @pytest.mark.parametrize("config", [MelConfig(), ClapFrontEnd().mel], ids=["mel", "clap"])
    def test_they_have_unit_area(self, config):
        filters = mel_filters(config).double()
        bin_hz = config.sample_rate / config.n_fft
        wide = filters[filters.count_nonzero(dim=1) > 8]  # narrow ones are sampled too coarsely
        torch.testing.assert_close(
            wide.sum(dim=1) * bin_hz, torch.ones(len(wide)).double(), rtol=0.02, atol=0
        )

    @pytest.mark.parametrize("config", [MelConfig(), ClapFrontEnd().mel], ids=["mel", "clap"])
    def test_librosa_has_the_same(self, config):
        from librosa.filters import mel

        theirs = mel(
            sr=config.sample_rate,
            n_fft=config.n_fft,
            n_mels=config.n_mels,
            fmin=config.f_min_hz,
            fmax=config.f_max_hz,
        )
        np.testing.assert_allclose(mel_filters(config), theirs, rtol=0, atol=1e-7)


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("n_samples", [16_000, 12_345])
@pytest.mark.parametrize("sound", [noise, chirp], ids=["noise", "chirp"])
def test_librosa_sees_the_same(framing, n_samples, sound):
    from librosa.feature import melspectrogram

    waveform = sound()[:n_samples]
    both = 1024 - 160 if framing == "trainer" else 1024
    theirs = melspectrogram(
        y=np.pad(waveform.astype(np.float64), both // 2, mode="reflect"),
        sr=16_000,
        n_fft=1024,
        hop_length=160,
        center=False,
        power=1,
        n_mels=64,
        fmin=0,
        fmax=8000,
    )
    ours = mel_of(waveform.astype(np.float64), CONFIGS[framing]).exp()
    # In float64 only the filters, kept in float32, can differ.
    np.testing.assert_allclose(ours, np.maximum(theirs.T, 1e-5), rtol=1e-5, atol=1e-7)
    single = mel_of(waveform, CONFIGS[framing]).exp()
    np.testing.assert_allclose(single, ours, rtol=1e-5, atol=1e-5 * float(ours.max()))


def test_the_magnitude_is_that_of_one_window():
    config = MelConfig()
    waveform = torch.from_numpy(noise(0.2))
    frame = 8
    middle = CENTRE["trainer"] + frame * config.hop_length
    cut = waveform[middle - 512 : middle + 512] * torch.hann_window(1024)
    ours = magnitude(waveform[None], config)[0, :, frame]
    torch.testing.assert_close(ours, torch.fft.rfft(cut).abs(), rtol=1e-4, atol=1e-4)


def test_the_power_is_the_square_of_the_magnitude():
    waveform = torch.from_numpy(noise(0.2))[None]
    expected = magnitude(waveform, MelConfig()).square()
    assert torch.allclose(power(waveform, MelConfig()), expected, rtol=1e-5, atol=1e-9)
