"""Finding embedders: built in or by entry point; mistakes are answered."""

import sys
from types import ModuleType

import numpy as np
import pytest

from latentfoley.errors import InputError
from latentfoley.evaluation import embedders
from latentfoley.evaluation.embedders import Features, find_embedder
from latentfoley.evaluation.features.preprocess import AudioPreprocessing


class Mean:
    """An embedder as another package would write it."""

    name, weights_hash, pooled, classes = "mean", "0" * 64, False, ""
    preprocessing = AudioPreprocessing(sample_rate=8000)

    def embed(self, waveforms):
        return [Features(np.array([[x.mean()]], dtype=np.float64)) for x in waveforms]


def load(path):
    """The factory that "module:load" names."""
    return Mean()


class Point:
    name = "mean"

    def load(self):
        return lambda path: Mean()


def test_packages_add_their_own(monkeypatch):
    monkeypatch.setattr(embedders, "entry_points", lambda group: [Point()])
    assert find_embedder("mean").name == "mean"


def test_a_function_is_named_by_its_module(monkeypatch):
    module = ModuleType("my_ears")
    module.load = load
    monkeypatch.setitem(sys.modules, "my_ears", module)
    assert find_embedder("my_ears:load=some/path").name == "mean"
    with pytest.raises(InputError, match="no 'lod' in my_ears"):
        find_embedder("my_ears:lod")
    with pytest.raises(InputError, match="'my_eyes' cannot be imported"):
        find_embedder("my_eyes:load")


def test_a_mistyped_name_is_answered():
    with pytest.raises(InputError, match="Did you mean 'vggish'"):
        find_embedder("vgish")
