"""A recipe on the micro model, with a judge that hears how bright a sound is."""

import sys

import pytest

from latentfoley.evaluation.ablation.recipe import AblationRecipe

JUDGE = """
import numpy as np
from latentfoley.evaluation.embedders import Features
from latentfoley.evaluation.features.preprocess import Reading

class Judge:
    name, weights_hash, pooled, classes = "judge", "j" * 64, False, "2 classes"
    class_names = ("low", "high")
    reading = Reading(sample_rate=16_000, min_samples=512)

    def embed(self, waveforms):
        return [self.hear(waveform) for waveform in waveforms]

    def hear(self, waveform):
        power = np.square(np.abs(np.fft.rfft(waveform.astype(np.float64))))
        bands = np.log([band.mean() + 1e-9 for band in np.array_split(power, 6)])
        return Features(bands[None], np.array([bands[:3].sum(), bands[3:].sum()]))

def load(path):
    return Judge()
"""


@pytest.fixture
def judge(tmp_path, monkeypatch):
    """What a judge of two classes, "low" and "high", is called in a recipe."""
    (tmp_path / "a_judge.py").write_text(JUDGE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "a_judge:load"
    sys.modules.pop("a_judge", None)


@pytest.fixture
def values(tmp_path, judge, micro_model_folder):
    """The plain values of a small recipe: two guidance scales, six labelled prompts."""
    prompts = tmp_path / "prompts.toml"
    prompts.write_text('low = ["rain", "sea", "a drum"]\nhigh = ["a bird", "a bell", "glass"]\n')
    return {
        "prompts": str(prompts),
        "metrics": ["recognised", "diversity", "loudness"],
        "embedders": [judge],
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
