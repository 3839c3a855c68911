"""What a model knows: near texts pass, far ones are named with the nearest kinds, in every door."""

import pytest
import torch
import torch.nn.functional as F

import latentfoley
import micro
from latentfoley.checkpoints.known_kinds import FILE, read_known_kinds, write_known_kinds
from latentfoley.checkpoints.tensors import hash_settings, hash_weights
from latentfoley.clap import TextTower
from latentfoley.errors import ModelError
from latentfoley.known import KnownKinds
from weights import normal


@pytest.fixture
def folder(tmp_path):
    return micro.write_knowing_folder(tmp_path / "model")


def orthogonal(threshold=0.5):
    return KnownKinds(("rain", "dog", "sea", "rain"), torch.eye(4), threshold)


class TestFar:
    def test_a_known_text_is_near(self):
        assert orthogonal().far(["rain"], torch.eye(4)[:1]) == (None,)

    def test_a_far_one_is_named_with_the_nearest_kinds_each_once(self):
        vector = F.normalize(torch.tensor([[0.3, 0.1, 0.2, 0.4]]), dim=1)
        (far,) = orthogonal(0.9).far(["a sword"], vector)
        assert far.nearest == ("rain", "sea", "dog")
        assert far.cosine == pytest.approx(0.4 / 0.3**0.5)
        assert far.message == (
            "'a sword' is far from what this model knows; nearest: rain, sea, dog"
        )

    def test_the_threshold_itself_is_near(self):
        vector = torch.tensor([[0.5, 0.0, 0.0, 0.0]])
        assert orthogonal(0.5).far(["x"], vector) == (None,)

    def test_signatures_are_unit_vectors_of_both_encoders(self, folder):
        tower = TextTower.load(folder)
        s = tower.signatures(["rain", "a dog bark"])
        assert torch.allclose(s.norm(dim=1), torch.ones(2), atol=1e-5)
        E = tower.embed(["rain", "a dog bark"])
        assert torch.allclose(s[:, : E.shape[1]] * 2**0.5, E, atol=1e-5)


class TestFile:
    def test_it_is_read_as_it_was_written(self, folder):
        known = read_known_kinds(folder)
        assert (known.kinds, known.names, known.threshold) == (
            ("rain", "dog"),
            ("rain", "dog"),
            0.999,
        )

    def test_8_bits_an_element_are_enough(self, tmp_path):
        vectors = F.normalize(normal(64, 896), dim=1)
        write_known_kinds(tmp_path, KnownKinds(("rain",) * 64, vectors, 0.5))
        cosines = read_known_kinds(tmp_path).signatures @ vectors.T
        assert (cosines - vectors @ vectors.T).abs().max() < 0.005

    def test_it_decides_no_sample(self, folder):
        before = hash_weights(folder), hash_settings(folder)
        (folder / FILE).unlink()
        assert (hash_weights(folder), hash_settings(folder)) == before

    def test_a_model_without_one_never_warns(self, folder):
        (folder / FILE).unlink()
        assert read_known_kinds(folder) is None
        assert latentfoley.load(folder).far(["sea"]) is None

    @pytest.mark.parametrize("content", [b"", b"no tensors"])
    def test_a_damaged_one_is_an_error_that_names_it(self, folder, content):
        (folder / FILE).write_bytes(content)
        with pytest.raises(ModelError, match=FILE):
            read_known_kinds(folder)

    def test_one_with_too_few_names_is_an_error(self, folder):
        write_known_kinds(folder, KnownKinds(("rain",), torch.eye(4), 0.5))
        with pytest.raises(ModelError, match="1 kinds for 4 vectors"):
            read_known_kinds(folder)


class TestDoors:
    def test_a_clip_says_so(self, folder):
        model = latentfoley.load(folder)
        near, far = model.generate(["rain", "the sea wave"], duration_s=0.2, steps=1)
        assert near.far is None
        assert far.far.text == "the sea wave"
        assert set(far.far.nearest) == {"rain", "dog"}

    def test_of_a_blend_the_part_that_is_far(self, folder):
        model = latentfoley.load(folder)
        (clip,) = model.generate("rain @0.7 + the sea @0.3", duration_s=0.2, steps=1)
        assert clip.far.text == "the sea"
