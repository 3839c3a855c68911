"""Fixtures that several test files share."""

import os

import pytest
import soundfile

import latentfoley
from latentfoley.data.metadata import Entry, write_manifest
from latents import encode_folder
from micro import write_model_folder
from signals import chirp, click, noise, tone

# librosa compiles itself when it is first used: half as long without optimisation.
os.environ.setdefault("NUMBA_OPT", "0")


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory):
    """Keep what is kept from run to run away from the user's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
        yield


@pytest.fixture(scope="session")
def micro_model_folder(tmp_path_factory):
    """A complete model folder with random weights; read only."""
    return write_model_folder(tmp_path_factory.mktemp("models") / "micro")


@pytest.fixture(scope="session")
def micro_model(micro_model_folder):
    """The same, loaded."""
    return latentfoley.load(micro_model_folder, device="cpu")


@pytest.fixture(scope="session")
def recordings(tmp_path_factory):
    """A folder of four recordings, three to train on, and the path of its manifest."""
    folder = tmp_path_factory.mktemp("recordings")
    sounds = {
        "tone": (tone(880), ("a tone", "the tone"), "train"),
        "chirp": (chirp(duration_s=1.5), ("a wave", "the sea"), "train"),
        "noise": (noise(0.7), ("rain",), "train"),
        "click": (click() + noise(amplitude=0.01), ("a clock",), "valid"),
    }
    entries = []
    for name, (waveform, captions, split) in sounds.items():
        soundfile.write(folder / f"{name}.wav", waveform, 16_000)
        entries.append(Entry(path=f"{name}.wav", split=split, captions=captions, labels=(name,)))
    write_manifest(folder / "manifest.jsonl", entries)
    return folder / "manifest.jsonl"


@pytest.fixture(scope="session")
def latents(recordings, micro_model_folder, tmp_path_factory):
    """The recordings, encoded by the micro model; one of the four is held out."""
    out = tmp_path_factory.mktemp("encoded")
    return encode_folder(recordings.parent, out, micro_model_folder, variations=2, mixes=0.2)
