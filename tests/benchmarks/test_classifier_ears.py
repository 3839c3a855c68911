"""The independent classifier as an embedder and judge: what it hears depends on the clip alone."""

import json
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from classifier_ears import load
from safetensors.torch import save_file

from classifier import CLASSES, SAMPLE_RATE, Ensemble, Network, classify, load_classifier

PROMPTS = Path(__file__).parents[2] / "benchmarks" / "tiny" / "prompts.toml"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("classifier") / "random.safetensors"
    torch.manual_seed(0)
    untrained = Ensemble([Network(), Network()])
    save_file(
        untrained.state_dict(), path, metadata={"classes": json.dumps(CLASSES), "members": "2"}
    )
    return path


@pytest.fixture(scope="module")
def sounds():
    rng = np.random.default_rng(0)
    return [rng.normal(scale=0.1, size=SAMPLE_RATE).astype(np.float32) for _ in range(16)]


def test_it_hears_a_clip_the_same_alone_and_in_threads(weights, sounds):
    ears = load(weights)
    alone = [ears.embed([sound])[0] for sound in sounds]
    with ThreadPoolExecutor(8) as pool:
        beside = [heard for (heard,) in pool.map(lambda sound: ears.embed([sound]), sounds * 4)]
    for one, other in zip(alone * 4, beside, strict=True):
        np.testing.assert_array_equal(one.windows, other.windows)
        np.testing.assert_array_equal(one.logits, other.logits)


def test_it_agrees_with_the_classifier(weights, sounds):
    heard = load(weights).embed(sounds[:2])
    _, probabilities = classify(load_classifier(weights), sounds[:2])
    assert heard[0].windows.shape == (1, 2 * 384)
    np.testing.assert_allclose(np.exp([one.logits for one in heard]), probabilities, rtol=1e-4)


def test_it_can_judge_every_prompt_of_the_experiments(weights):
    assert set(tomllib.loads(PROMPTS.read_text())) <= set(load(weights).class_names)
