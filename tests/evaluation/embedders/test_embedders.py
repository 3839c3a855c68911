"""Finding embedders: built in or by entry point; mistakes are answered."""

import numpy as np
import pytest

from latentfoley.errors import InputError
from latentfoley.evaluation import embedders
from latentfoley.evaluation.embedders import Features, find_embedder
from latentfoley.evaluation.reading import Reading


class Mean:
    """An embedder as another package would write it."""

    name, weights_hash, pooled, classes = "mean", "0" * 64, False, ""
    reading = Reading(sample_rate=8000)

    def embed(self, waveform):
        return Features(np.array([[waveform.mean()]], dtype=np.float64))


class Point:
    name = "mean"

    def load(self):
        return lambda path: Mean()


def test_packages_add_their_own(monkeypatch):
    monkeypatch.setattr(embedders, "entry_points", lambda group: [Point()])
    assert find_embedder("mean").name == "mean"


def test_a_mistyped_name_is_answered():
    with pytest.raises(InputError, match="Did you mean 'vggish'"):
        find_embedder("vgish")
