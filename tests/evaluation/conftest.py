"""Two small sets of sounds on disk, and an embedder that needs no weights."""

import threading

import numpy as np
import pytest
import soundfile

from latentfoley.evaluation import embedders
from latentfoley.evaluation.embedders import Features
from latentfoley.evaluation.features.preprocess import AudioPreprocessing
from signals import noise, tone

LOCK = threading.Lock()


class Bands:
    """Log energies of eight bands: what a sound is, roughly."""

    name, weights_hash, pooled, classes = "bands", "b" * 64, False, "8 bands"
    preprocessing = AudioPreprocessing(sample_rate=16_000, min_samples=512)
    calls = 0

    def embed(self, waveforms):
        return [self.embed_one(waveform) for waveform in waveforms]

    def embed_one(self, waveform):
        with LOCK:
            type(self).calls += 1
        power = np.square(np.abs(np.fft.rfft(waveform.astype(np.float64))))
        bands = np.array([np.log(band.mean() + 1e-6) for band in np.array_split(power, 8)])
        return Features(bands[None], bands)


@pytest.fixture
def bands(monkeypatch):
    """The embedder `bands`, as if a package had added it; counts what it hears."""

    class Point:
        name = "bands"

        def load(self):
            return lambda path: Bands()

    monkeypatch.setattr(embedders, "entry_points", lambda group: [Point()])
    monkeypatch.setattr(Bands, "calls", 0)
    return Bands


def write_set(place, name, seed, n=24):
    """Write n sounds, half of them noises and half tones, and return the folder."""
    folder = place / name
    folder.mkdir()
    for k in range(n):
        sound = noise(0.3, amplitude=0.1 + 0.015 * k, seed=seed + k)
        if k % 2:
            sound = 0.1 * sound + tone(200 + 200 * k + seed, duration_s=0.3)
        soundfile.write(folder / f"{k:02d}.wav", sound, 16_000)
    return folder


@pytest.fixture
def sets(tmp_path):
    """The folders of a generated and a reference set of the same kind."""
    return write_set(tmp_path, "made", 0), write_set(tmp_path, "real", 100)


@pytest.fixture(scope="session")
def write_sounds():
    """The function that writes such a set, for those who need others."""
    return write_set
