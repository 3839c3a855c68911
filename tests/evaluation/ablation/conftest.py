"""A recipe on the micro model, with a classifier of how bright a sound is."""

import sys

import pytest

from latentfoley.evaluation.ablation.recipe import AblationRecipe

CLASSIFIER = """
import numpy as np
from latentfoley.evaluation.embedders import Features
from latentfoley.evaluation.features.preprocess import AudioPreprocessing

class Classifier:
    name, weights_hash, pooled, classes = "classifier", "j" * 64, False, "2 classes"
    class_names = ("low", "high")
    preprocessing = AudioPreprocessing(sample_rate=16_000, min_samples=512)

    def embed(self, waveforms):
        return [self.embed_one(waveform) for waveform in waveforms]

    def embed_one(self, waveform):
        power = np.square(np.abs(np.fft.rfft(waveform.astype(np.float64))))
        bands = np.log([band.mean() + 1e-9 for band in np.array_split(power, 6)])
        return Features(bands[None], np.array([bands[:3].sum(), bands[3:].sum()]))

def load(path):
    return Classifier()
"""


@pytest.fixture
def classifier(tmp_path, monkeypatch):
    """What a classifier of two classes, "low" and "high", is called in a recipe."""
    (tmp_path / "a_classifier.py").write_text(CLASSIFIER)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "a_classifier:load"
    sys.modules.pop("a_classifier", None)


@pytest.fixture
def values(tmp_path, classifier, micro_model_folder):
    """The plain values of a small recipe: two guidance scales, six labelled prompts."""
    prompts = tmp_path / "prompts.toml"
    prompts.write_text('low = ["rain", "sea", "a drum"]\nhigh = ["a bird", "a bell", "glass"]\n')
    return {
        "prompts": str(prompts),
        "metrics": ["recognised", "diversity", "loudness"],
        "embedders": [classifier],
        "baselines": [{"guidance": 1.0}],
        "permutations": 99,
        "resamples": 20,
        "models": {"micro": str(micro_model_folder)},
        "sampling": {"steps": 2, "duration_s": 0.2},
        "grid": {"guidance": [1.0, 3.0]},
    }


@pytest.fixture
def make(values):
    """Return a function that changes values of the small recipe and parses it."""
    return lambda **changes: AblationRecipe.parse(values | changes, where="recipe.toml")
