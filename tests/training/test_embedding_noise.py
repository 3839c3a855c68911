"""Embeddings moved in training: unit vectors, by the length asked for, where texts differ."""

import pytest
import torch
import torch.nn.functional as F

import latentfoley
from latentfoley.clap import TextTower
from latentfoley.data.recordings import generator
from latentfoley.training.embedding_noise import perturb, towards_words, word_directions
from weights import normal


@pytest.fixture(scope="module")
def directions(micro_model_folder):
    return word_directions(TextTower.load(micro_model_folder))


@pytest.mark.parametrize("length", [0.0, 0.5, 1.0])
def test_embeddings_are_perturbed_by_a_vector_of_that_length(length):
    E = F.normalize(normal(500, 512), dim=1)
    near = perturb(E, length, generator(0, 0))
    torch.testing.assert_close(near.norm(dim=1), torch.ones(500))
    cosine = float((near * E).sum(dim=1).mean())
    assert cosine == pytest.approx((1 + length**2) ** -0.5, abs=0.01)


def test_directions_are_unit_vectors_that_go_every_way(directions):
    assert len(directions) > 10
    torch.testing.assert_close(directions.norm(dim=1), torch.ones(len(directions)))
    assert directions.mean(dim=0).norm() < 0.5


def test_a_step_goes_along_one_direction_and_no_further_than_asked(directions):
    E = F.normalize(normal(200, directions.shape[1]), dim=1)
    near = towards_words(E, directions, 0.3, generator(0, 0))
    torch.testing.assert_close(near.norm(dim=1), torch.ones(200))
    # `near` lies in the plane of E and a direction: what is left of it there beside E is all of it.
    beside = F.normalize(near - (near * E).sum(dim=1, keepdim=True) * E, dim=1)
    ways = directions[None] - (E @ directions.T)[..., None] * E[:, None]  # (B, W, D)
    best = (F.normalize(ways, dim=2) @ beside[..., None]).amax(dim=1)
    torch.testing.assert_close(best.squeeze(1), torch.ones(200), atol=1e-3, rtol=0)
    assert (near * E).sum(dim=1).min() >= (1 - 0.3**2) ** 0.5 - 1e-6


def test_nothing_is_moved_by_no_length(directions):
    E = F.normalize(normal(9, directions.shape[1]), dim=1)
    torch.testing.assert_close(towards_words(E, directions, 0.0, generator(0, 0)), E)


def test_what_a_text_has_beside_a_sound_lies_along_words_and_not_just_anywhere():
    """The reason for it: see docs/decisions/0022."""
    text = latentfoley.load("tiny").text
    few = torch.linalg.svd(word_directions(text), full_matrices=False).Vh[:20]  # (20, 512)
    T = text.embed(["heavy rain", "waves on a beach", "a dog barking", "a kick drum", "the wind"])
    apart = F.normalize(T[:, None] - T[None], dim=2)[~torch.eye(5, dtype=torch.bool)]
    assert (apart @ few.T).square().sum(dim=1).min() > 0.6  # a random vector has 20 / 512
