"""Finding embedders: built in, by path, by entry point; mistakes are answered."""

import numpy as np
import pytest

from latentfoley.errors import InputError, ModelError
from latentfoley.evaluation import embedders
from latentfoley.evaluation.embedders import Features, find_embedder
from latentfoley.evaluation.reading import Reading
from signals import noise, tone


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


@pytest.mark.parametrize("name", ["cnn14-16k", "cnn14-32k", "vggish"])
class TestWeights:
    def test_they_must_be_given(self, name):
        with pytest.raises(InputError, match="nothing is downloaded"):
            find_embedder(name)

    def test_a_missing_file_is_told(self, name, tmp_path):
        with pytest.raises(ModelError, match="no weight file"):
            find_embedder(f"{name}={tmp_path / 'none.pth'}")

    def test_a_file_of_something_else_is_told(self, name, tmp_path):
        (tmp_path / "x.pth").write_bytes(b"not weights")
        with pytest.raises(ModelError, match="cannot be read"):
            find_embedder(f"{name}={tmp_path / 'x.pth'}")


class TestClap:
    def test_sounds_and_texts_share_a_space(self, micro_model_folder):
        clap = find_embedder(f"clap={micro_model_folder}")
        features = clap.embed(noise(0.7))
        texts = clap.embed_texts(["rain", "a dog"])
        assert features.windows.shape == (1, texts.shape[1])
        assert np.linalg.norm(features.windows) == pytest.approx(1)
        assert features.logits.shape == (10,)
        assert len(clap.weights_hash) == 64

    def test_the_same_sound_has_the_same_features(self, micro_model_folder):
        clap = find_embedder(f"clap={micro_model_folder}")
        assert np.array_equal(clap.embed(tone()).windows, clap.embed(tone()).windows)

    def test_other_weights_have_another_hash(self, micro_model_folder):
        assert find_embedder("clap").weights_hash != (
            find_embedder(f"clap={micro_model_folder}").weights_hash
        )
