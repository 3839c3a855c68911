"""Pictures of long sounds: nothing of them is left out, and memory is bounded."""

import numpy as np
import pytest
import torch

from latentfoley import pictures
from latentfoley.config import MelConfig
from latentfoley.mel import SILENCE, log_mel
from signals import noise

MEL = MelConfig()
LONG = 60 * 16_000


@pytest.fixture
def quick(monkeypatch):
    """As if a picture had room for few columns, so that a minute is a long sound."""
    monkeypatch.setattr(pictures, "_MOST_COLUMNS", 100)
    monkeypatch.setattr(pictures, "_MOST_POINTS", 1000)


def test_a_short_sound_is_drawn_as_it_is():
    expected = log_mel(torch.from_numpy(noise())[None], MEL)[0, 0].numpy()
    np.testing.assert_array_equal(pictures._columns(noise(), MEL), expected)
    low, high = pictures._envelope(noise())
    np.testing.assert_array_equal(low, noise())
    np.testing.assert_array_equal(high, noise())


@pytest.mark.parametrize("n_samples", [LONG, LONG + 1, LONG + 159_999])
def test_a_column_holds_the_loudest_of_its_frames(quick, n_samples):
    waveform = noise(n_samples / 16_000)[:n_samples] * np.linspace(0, 1, n_samples, dtype="f4")
    columns = pictures._columns(waveform, MEL)
    per_column = -(-(n_samples // 160) // 100)
    assert len(columns) == n_samples // 160 // per_column
    drawn = torch.from_numpy(waveform[: len(columns) * per_column * 160])[None]
    frames = log_mel(drawn, MEL)[0, 0].numpy()
    expected = frames.reshape(len(columns), per_column, -1).max(axis=1)
    np.testing.assert_allclose(columns, expected, atol=1e-3)


@pytest.mark.parametrize("at", [0, 12_345, LONG - 10_000])
def test_a_click_in_a_minute_of_silence_is_seen(quick, at):
    waveform = np.zeros(LONG, np.float32)
    waveform[at] = -0.9
    assert pictures._columns(waveform, MEL).max() > SILENCE + 1
    low, high = pictures._envelope(waveform)
    assert len(low) == len(high) <= 1000
    assert low.min() == np.float32(-0.9)


@pytest.mark.parametrize("n_minutes", [1, 4])
def test_no_piece_grows_with_the_sound(quick, monkeypatch, n_minutes):
    sizes = []

    def spy(waveform, mel):
        sizes.append(waveform.shape[1])
        return log_mel(waveform, mel)

    monkeypatch.setattr(pictures, "log_mel", spy)
    pictures._columns(np.zeros(n_minutes * LONG, np.float32), MEL)
    # A chunk, rounded up to whole columns, and one column more on either side.
    assert max(sizes) <= (pictures.CHUNK + 3 * -(-n_minutes * 6000 // 100)) * 160


def test_a_long_sound_is_drawn_before_and_after(quick, tmp_path):
    waveform = noise(61.7)
    mask = np.ones((200, 16), np.float32)
    pictures.plot_edit(tmp_path / "a.png", (waveform, waveform), mask, "an edit", MEL)
    pictures.plot_clips(tmp_path / "b.png", [waveform], ["a clip"], MEL)
    assert all((tmp_path / name).stat().st_size > 10_000 for name in ("a.png", "b.png"))
