"""What a step sees: drawn from (seed, step), shown by its sound and by nothing that was said."""

import pytest
import torch

from latentfoley.clap import TextTower
from latentfoley.data.latents import LatentCache
from latentfoley.diffusion import Schedule
from latentfoley.errors import RecipeError
from latentfoley.training.batches import Batches
from latentfoley.training.diffusion_recipe import DiffusionRecipe
from latents import encode_folder
from tasks import run_recipe


@pytest.fixture(scope="module")
def text(micro_model_folder):
    return TextTower.load(micro_model_folder)


@pytest.fixture
def batches(latents, text, tmp_path):
    """Batches of the cache; keywords change the recipe."""

    def batches(folder=latents, run=None, **changes):
        run = run_recipe(tmp_path, batch_size=100) | (run or {})
        values = {"run": run, "data": {"latents": folder}, "start": "tiny"} | changes
        recipe = DiffusionRecipe.parse(values, where="test")
        return Batches(recipe, LatentCache(folder, "train"), text, 0.9, Schedule())

    return batches


def test_a_batch_depends_on_seed_and_step_alone(batches):
    first, second = batches().draw(3), batches().draw(3)
    assert all(map(torch.equal, first, second))
    assert not torch.equal(batches().draw(4).z_0, first.z_0)
    assert not torch.equal(batches(run={"seed": 1}).draw(3).z_0, first.z_0)


def test_latents_are_drawn_from_the_posterior_and_scaled(batches, latents):
    z_0 = batches(run={"batch_size": 2000}).draw(0).z_0
    cache = LatentCache(latents, "train")
    fields = cache.batch(range(len(cache)))
    mean, std = fields["mean"].float(), fields["std"].float()
    variance = 0.81 * ((std**2).mean(dim=0) + mean.var(dim=0, correction=0))
    ratio = z_0.var(dim=0) / variance
    assert float(ratio.mean()) == pytest.approx(1, abs=0.05)
    torch.testing.assert_close(z_0.mean(dim=0), 0.9 * mean.mean(dim=0), atol=0.2, rtol=0)


def test_steps_and_noise(batches):
    _, _, n, eps = batches(run={"batch_size": 1000}).draw(0)
    assert n.min() >= 0 and n.max() <= 999
    assert float(n.float().mean()) == pytest.approx(499.5, abs=30)
    assert float(eps.mean()) == pytest.approx(0, abs=0.01)
    assert float(eps.std()) == pytest.approx(1, abs=0.01)


def test_one_embedding_in_ten_is_that_of_the_empty_prompt(batches):
    drawn = batches(run={"batch_size": 1000}, embedding_noise=0.5)
    dropped = (drawn.E_empty == drawn.draw(0).E).all(dim=1).float().mean()
    assert float(dropped) == pytest.approx(0.1, abs=0.03)


def test_with_no_chance_the_empty_prompt_is_never_shown(batches):
    drawn = batches(unconditional_probability=0.0)
    assert not (drawn.E_empty == drawn.draw(0).E).all(dim=1).any()


class TestConditioning:
    @pytest.fixture(scope="class")
    def partly(self, tmp_path_factory, recordings, micro_model_folder):
        """A cache in which one recording of three has no caption."""
        folder = tmp_path_factory.mktemp("partly")
        for name, said in (("tone", "a tone"), ("chirp", "a wave\nthe sea"), ("noise", None)):
            (folder / f"{name}.wav").write_bytes((recordings.parent / f"{name}.wav").read_bytes())
            if said:
                (folder / f"{name}.txt").write_text(said)
        return encode_folder(folder, tmp_path_factory.mktemp("out"), micro_model_folder)

    def rows(self, drawn, text, texts):
        """Return which rows of a batch are shown by one of these texts."""
        E = drawn.draw(0).E
        return (E @ text.embed(texts).T > 0.99999).any(dim=1)

    def test_by_text_every_clip_is_shown_by_one_of_its_captions(self, batches, text):
        drawn = batches(conditioning="text", unconditional_probability=0.0)
        texts = ["a tone", "the tone", "a wave", "the sea", "rain"]
        pairs = [f"{a} and {b}" for a in texts for b in texts]
        assert self.rows(drawn, text, [*texts, *pairs]).all()

    def test_mixed_is_a_share(self, batches, text, partly):
        drawn = batches(
            partly,
            conditioning="mixed",
            text_share=0.4,
            unconditional_probability=0.0,
            run={"batch_size": 300},
        )
        captions = [len(drawn.cache.captions(item)) > 0 for item in range(len(drawn.cache))]
        expected = 0.4 * sum(captions) / len(captions)
        shown = self.rows(drawn, text, ["a tone", "a wave", "the sea"]).float().mean()
        assert float(shown) == pytest.approx(expected, abs=0.08)

    def test_all_else_is_drawn_alike(self, batches):
        by_sound, by_text = batches().draw(2), batches(conditioning="text").draw(2)
        for name in ("z_0", "n", "eps"):
            assert torch.equal(getattr(by_sound, name), getattr(by_text, name))

    def test_a_clip_of_which_nothing_was_said(self, batches, partly):
        with pytest.raises(RecipeError, match=r"3 of \d+ windows .* have no caption, .*noise"):
            batches(partly, conditioning="text")
