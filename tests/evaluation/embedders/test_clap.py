"""CLAP as an embedder: one space for sounds and texts, and a hash of all that matters."""

import numpy as np
import pytest

from latentfoley.evaluation.embedders import find_embedder
from signals import noise, tone


def test_sounds_and_texts_share_a_space(micro_model_folder):
    clap = find_embedder(f"clap={micro_model_folder}")
    features = clap.embed(noise(0.7))
    texts = clap.embed_texts(["rain", "a dog"])
    assert features.windows.shape == (1, texts.shape[1])
    assert np.linalg.norm(features.windows) == pytest.approx(1)
    assert features.logits.shape == (10,)
    assert len(clap.weights_hash) == 64


def test_the_same_sound_has_the_same_features(micro_model_folder):
    clap = find_embedder(f"clap={micro_model_folder}")
    assert np.array_equal(clap.embed(tone()).windows, clap.embed(tone()).windows)


def test_other_weights_have_another_hash(micro_model_folder):
    assert find_embedder("clap").weights_hash != (
        find_embedder(f"clap={micro_model_folder}").weights_hash
    )
