"""Training of CLAP on four recordings, with a micro text tower in place of MiniLM."""

import json
import math

import numpy as np
import pytest
import torch

import micro
from latentfoley.clap import TextTower
from latentfoley.clap_audio import AudioTower
from latentfoley.data.augment import Example
from latentfoley.data.metadata import read_manifest, write_manifest
from latentfoley.errors import RecipeError, TrainingWarning
from latentfoley.training.clap import ClapRecipe, ClapTask, Logits, _blank
from latentfoley.training.loop import train
from signals import noise
from tasks import assert_same_weights, run_recipe, unbroken_and_resumed
from weights import normal

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _micro_text_tower(monkeypatch):
    def from_minilm(embedding_dim):
        assert embedding_dim == micro.EMBEDDING_DIM
        return micro.text_model(), micro.tokenizer()

    monkeypatch.setattr("latentfoley.training.clap.from_minilm", from_minilm)


@pytest.fixture
def recipe(recordings, tmp_path):
    """A recipe for the micro model; keywords change it."""

    def recipe(folder="run", run=None, manifest=recordings, **changes):
        values = {
            "run": run_recipe(tmp_path / folder, **({"batch_size": 4} | (run or {}))),
            "data": {"manifest": manifest, "folder": recordings.parent},
            "front_end": micro.FRONT_END.model_dump(),
            "model": micro.AUDIO_TOWER.model_dump(),
            "embedding_dim": micro.EMBEDDING_DIM,
            "blank_bands": 3,
        }
        return ClapRecipe.parse(values | changes, where="test")

    return recipe


def make(recipe):
    return ClapTask(recipe, CPU)


def examples(*labels):
    return [Example(noise(0.1), "", frozenset({label})) for label in labels]


class TestLosses:
    def test_they_vanish_for_a_perfect_match(self, recipe):
        task = make(recipe())
        task.logits.log_scale.data.fill_(math.log(100))
        E = torch.eye(4, micro.EMBEDDING_DIM)
        losses = task._losses(E, E, examples("a", "b", "c", "d"))
        assert losses["contrast"].item() == pytest.approx(0, abs=1e-6)
        assert losses["alignment"].item() == 0

    def test_pairs_of_one_label_share_the_target(self, recipe):
        task = make(recipe())
        task.logits.log_scale.data.fill_(math.log(100))
        E = torch.eye(2, micro.EMBEDDING_DIM)[[0, 0, 1]]
        told_apart = task._losses(E, E, examples("a", "b", "c"))["contrast"]
        shared = task._losses(E, E, examples("a", "a", "c"))["contrast"]
        # Both have the two alike at equal odds; only where they share it is that no fault.
        assert (
            shared.item() == pytest.approx(told_apart.item()) == pytest.approx(2 / 3 * math.log(2))
        )
        swapped = E[[1, 0, 2]]
        assert task._losses(E, swapped, examples("a", "a", "c"))["contrast"] == shared

    def test_the_scale_is_bounded(self):
        logits = Logits()
        A = torch.eye(2, 4)
        assert logits(A, A)[0, 0].item() == pytest.approx(1 / 0.07)
        logits.log_scale.data.fill_(9.0)
        assert logits(A, A)[0, 0].item() == pytest.approx(100)


class TestVariations:
    def test_blanks_take_a_stripe_of_time_and_one_of_bands(self, recipe):
        task = make(recipe(blank_time=0.5, blank_bands=8, run={"batch_size": 8}))
        features = normal(8, 1, 51, 16)
        blanked = _blank(features, task._masks(np.random.default_rng(0)))
        changed = blanked != features
        assert changed.any() and not changed.all()
        for clip, mask, original in zip(blanked, changed, features, strict=True):
            torch.testing.assert_close(
                clip[mask], original.mean().expand_as(clip[mask]), rtol=0, atol=1e-6
            )

    def test_a_colour_is_a_level_and_a_slope(self, recipe):
        colour = make(recipe(run={"batch_size": 50}))._tilts(np.random.default_rng(0))
        assert colour.shape == (50, 1, 1, 16)
        second = colour.diff(dim=-1).diff(dim=-1)
        torch.testing.assert_close(second, torch.zeros_like(second), rtol=0, atol=1e-5)
        assert colour.min() >= -26 and colour.max() <= 12

    def test_captions_are_encoded_once(self, recipe):
        task = make(recipe())
        first = task._sentence("rain")
        task._sentence("the sea")
        assert set(task.sentences) == {"rain", "the sea"}
        task.text.model = None
        torch.testing.assert_close(task._sentence("rain"), first)

    def test_without_noise_captions_are_what_the_text_tower_says(self, recipe):
        task = make(recipe())
        texts = ["rain", "a dog barking by the sea"]
        said = task._embed_sentences(torch.stack([task._sentence(text) for text in texts]))
        torch.testing.assert_close(said, task.text.embed(texts), rtol=1e-4, atol=1e-5)

    def test_a_contrast_is_not_taken_in_parts(self, recipe):
        with pytest.raises(RecipeError, match=r"run.accumulate: .*got 2, allowed: 1, or more proc"):
            make(recipe(run={"accumulate": 2}))

    def test_held_out_captions_are_contrasted(self, recipe):
        values = make(recipe()).validate()
        assert set(values) == {"validation_loss", "validation_contrast", "validation_alignment"}
        assert values == make(recipe()).validate()
        assert values["validation_alignment"] > 0


class TestTraining:
    def test_sounds_find_their_captions(self, recipe):
        task = make(recipe(mix_probability=0.0, drop_path=0.0, sentence_noise=0.0))
        for group in task.optimizers["clap"].param_groups:
            group["lr"] = 3e-3
        losses = [task.step(0)["contrast"] for _ in range(25)]  # the same batch every time
        assert losses[-1] < 0.7 * losses[0]

    def test_the_encoder_of_texts_is_left_alone(self, recipe):
        task = make(recipe())
        encoder = task.text.model.text_model.encoder.state_dict()
        before = {key: tensor.clone() for key, tensor in encoder.items()}
        pooler = task.modules["pooler"].dense.weight.clone()
        task.step(0)
        assert all(torch.equal(encoder[key], tensor) for key, tensor in before.items())
        assert not torch.equal(task.modules["pooler"].dense.weight, pooler)

    def test_it_goes_on_from_trained_towers(self, recipe, tmp_path):
        first = make(recipe())
        first.step(0)
        first.export(tmp_path / "model")
        second = make(recipe(start=tmp_path / "model", run={"seed": 1}))
        for name in ("audio", "pooler", "projection"):
            expected = first.modules[name].state_dict()
            for key, tensor in second.modules[name].state_dict().items():
                assert torch.equal(tensor, expected[key]), f"{name}.{key}"

    def test_with_frozen_audio_texts_alone_are_trained(self, recipe, tmp_path):
        make(recipe()).export(tmp_path / "model")
        task = make(recipe(start=tmp_path / "model", frozen_audio=True))
        before = {
            name: {key: tensor.clone() for key, tensor in task.modules[name].state_dict().items()}
            for name in ("audio", "projection")
        }
        task.step(0)
        after = {name: task.modules[name].state_dict() for name in before}
        assert not [k for k, t in before["audio"].items() if not torch.equal(after["audio"][k], t)]
        assert not all(
            torch.equal(after["projection"][key], t) for key, t in before["projection"].items()
        )

    def test_frozen_audio_needs_a_tower_to_keep(self, recipe):
        with pytest.raises(RecipeError, match="give 'start'"):
            recipe(frozen_audio=True)

    def test_it_resumes_bit_for_bit(self, recipe):
        assert_same_weights(*unbroken_and_resumed(make, recipe))

    def test_half_precision_is_finite(self, recipe, monkeypatch):
        monkeypatch.setattr("latentfoley.training.optimisation.has_bf16", lambda device: True)
        losses = make(recipe(run={"precision": "bf16"})).step(0)
        assert all(math.isfinite(value) for value in losses.values())

    def test_recordings_need_no_labels(self, recipe, recordings, tmp_path):
        entries = [e.model_copy(update={"labels": ()}) for e in read_manifest(recordings)]
        write_manifest(tmp_path / "m.jsonl", entries)
        task = make(recipe(manifest=tmp_path / "m.jsonl", run={"steps": 1}))
        train(task, task.recipe.run)  # with its preview, which has nothing to tell


class TestCaptions:
    @pytest.fixture
    def without(self, recordings, tmp_path):
        """Return a function that writes the manifest without the captions of some recordings."""

        def without(*names):
            entries = [
                e.model_copy(update={"captions": ()}) if e.labels[0] in names else e
                for e in read_manifest(recordings)
            ]
            write_manifest(tmp_path / "m.jsonl", entries)
            return tmp_path / "m.jsonl"

        return without

    def test_a_recording_without_captions_is_left_out_and_that_is_said(self, recipe, without):
        manifest = without("chirp")
        with pytest.warns(TrainingWarning, match="1 of 3 recordings in .* have no caption and are"):
            task = make(recipe(manifest=manifest))
        assert {clip.path for clip in task.clips} == {"tone.wav", "noise.wav"}
        for step in range(5):
            task.step(step)
        assert "" not in task.sentences
        assert all(caption.strip(", ") == caption for caption in task.sentences)

    def test_without_any_captions_there_is_nothing_to_learn(self, recipe, without):
        with pytest.raises(RecipeError, match=r"none of the 3 recordings in .*has a caption"):
            make(recipe(manifest=without("tone", "chirp", "noise")))


class TestFiles:
    def test_what_is_exported_embeds_the_same(self, recipe):
        task = make(recipe(run={"steps": 1}))
        train(task, task.recipe.run)
        folder = task.recipe.run.folder / "model"
        names = {path.name for path in folder.iterdir()}
        assert names == {"text_encoder", "tokenizer", "audio_encoder", "feature_extractor"}
        audio, text = AudioTower.load(folder), TextTower.load(folder)
        assert audio.front_end == micro.FRONT_END
        sound = (noise(1.0), 16_000)
        torch.testing.assert_close(audio.embed(*sound), task.audio.embed(*sound))
        torch.testing.assert_close(text.embed(["rain", ""]), task.text.embed(["rain", ""]))

    def test_a_preview_tells_how_often_it_is_right(self, recipe, recordings, tmp_path):
        entries = [
            e.model_copy(update={"split": s})
            for e in read_manifest(recordings)
            for s in ("train", "valid")
        ]
        write_manifest(tmp_path / "m.jsonl", entries)
        make(recipe(manifest=tmp_path / "m.jsonl")).preview(tmp_path / "previews", 7)
        accuracy = json.loads((tmp_path / "previews" / "0000007.json").read_text())
        assert set(accuracy) == {"tone", "chirp", "noise", "click"}
        assert all(0 <= value <= 1 for value in accuracy.values())
        assert (tmp_path / "previews" / "0000007.png").read_bytes()[:4] == b"\x89PNG"
