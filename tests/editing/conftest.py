"""Edits of the micro model with as little work as makes a sound."""

import pytest
import soundfile

from signals import noise

RATE = 16_000


@pytest.fixture
def edit(micro_model, tmp_path):
    """Return a function: kind, waveform, prompt, options → the one clip of that edit."""

    def edit(kind, waveform, prompt=None, *, rate=RATE, **options):
        path = tmp_path / "in.wav"
        soundfile.write(path, waveform, rate, subtype="FLOAT")
        (clip,) = micro_model.edit(kind, path, prompt, **({"steps": 3} | options))
        return clip

    return edit


@pytest.fixture
def source():
    """A recording that no whole number of latent frames covers."""
    return noise(0.731)
