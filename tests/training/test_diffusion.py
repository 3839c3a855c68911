"""Training of ε_θ on four recordings: on their sound, and on nothing that was said of them."""


import pytest
import torch
import torch.nn.functional as F

from latentfoley.checkpoints.layout import read_unet
from latentfoley.clap import AudioTower
from latentfoley.data.manifest import read_manifest, write_manifest
from latentfoley.data.recordings import generator
from latentfoley.training.diffusion import DiffusionRecipe, DiffusionTask
from latentfoley.training.loop import train
from micro import UNET
from tasks import (
    assert_close_weights,
    assert_finite,
    assert_same_weights,
    in_parts_and_whole,
    run_recipe,
    unbroken_and_resumed,
)
from weights import normal

CPU = torch.device("cpu")


@pytest.fixture(scope="session")
def encoded(tmp_path_factory):
    """A run's folder, so that the recordings are encoded once for most tests."""
    return tmp_path_factory.mktemp("diffusion")


@pytest.fixture
def recipe(recordings, micro_model_folder, encoded):
    """A recipe for the micro model; keywords change it."""

    def recipe(folder=encoded, run=None, manifest=recordings, **changes):
        values = {
            "run": run_recipe(folder, **(run or {})),
            "data": {"manifest": manifest, "folder": recordings.parent},
            "model": UNET.model_dump(),
            "vae": micro_model_folder,
            "clap": micro_model_folder,
            "clip_frames": 32,
            "variations": 2,
            "mixes": 3,
        }
        return DiffusionRecipe.parse(values | changes, where="test")

    return recipe


def make(recipe):
    return DiffusionTask(recipe, CPU)


class TestAudioOnly:
    """The promise: what is said about a recording does not touch a single bit."""

    @pytest.fixture
    def trained(self, recipe, recordings, tmp_path):
        def trained(name, change):
            entries = [
                entry.model_copy(update=change(entry)) for entry in read_manifest(recordings)
            ]
            write_manifest(tmp_path / f"{name}.jsonl", entries)
            task = make(recipe(tmp_path / name, manifest=tmp_path / f"{name}.jsonl"))
            for step in range(3):
                task.step(step)
            return task

        return trained

    @pytest.mark.parametrize(
        "change",
        [
            lambda entry: {"captions": ()},
            lambda entry: {"captions": entry.captions[::-1]},
            lambda entry: {"captions": ("something", "else", "altogether")},
            lambda entry: {"captions": (), "labels": (), "title": "x", "author": "y"},
            lambda entry: {"labels": ("all", "the same")},
        ],
        ids=["deleted", "shuffled", "replaced", "nothing left", "labels"],
    )
    def test_captions_and_labels_change_no_weight(self, trained, change):
        assert_same_weights(trained("as it was", lambda entry: {}), trained("changed", change))


class TestData:
    def test_every_recording_is_varied_and_mixed(self, recipe):
        data = make(recipe()).data
        assert data["mean"].shape == data["std"].shape == (3 * 2 + 3, 4, 8, 16)
        assert data["E"].shape == (9, 16)
        torch.testing.assert_close(data["E"].float().norm(dim=1), torch.ones(9), rtol=2e-3, atol=0)

    def test_they_are_encoded_once(self, recipe, monkeypatch, tmp_path):
        first = make(recipe(tmp_path)).data
        monkeypatch.setattr(AudioTower, "load", None)
        second = make(recipe(tmp_path)).data
        assert all(torch.equal(first[name], second[name]) for name in first)

    @pytest.mark.parametrize(
        "change",
        [
            {"variations": 1},
            {"mixes": 0},
            {"clip_frames": 16},
            {"shift_s": 0.1},
            {"run": {"seed": 1}},
        ],
    )
    def test_other_settings_encode_anew(self, recipe, change, tmp_path):
        first, second = make(recipe(tmp_path)).data, make(recipe(tmp_path, **change)).data
        shapes = [data["mean"].shape for data in (first, second)]
        assert shapes[0] != shapes[1] or not torch.equal(first["mean"], second["mean"])

    def test_a_batch_depends_on_seed_and_step_alone(self, recipe):
        first, second = make(recipe())._batch(3), make(recipe())._batch(3)
        assert all(torch.equal(x, y) for x, y in zip(first, second, strict=True))
        assert not torch.equal(make(recipe())._batch(4)[0], first[0])

    def test_one_embedding_in_ten_is_that_of_the_empty_prompt(self, recipe):
        task = make(recipe(run={"batch_size": 1000}))
        _, E, n, eps = task._batch(0)
        dropped = (task.E_empty == E).all(dim=1).float().mean()
        assert float(dropped) == pytest.approx(0.1, abs=0.03)
        assert n.min() >= 0 and n.max() <= 999
        assert float(n.float().mean()) == pytest.approx(499.5, abs=30)
        assert float(eps.std()) == pytest.approx(1, abs=0.01)

    @pytest.mark.parametrize("length", [0.0, 0.5, 1.0])
    def test_embeddings_are_perturbed_by_a_vector_of_that_length(self, recipe, length):
        task = make(recipe(embedding_noise=length))
        E = F.normalize(normal(500, 512), dim=1)
        near = task._perturb(E, generator(0, 0))
        torch.testing.assert_close(near.norm(dim=1), torch.ones(500))
        cosine = float((near * E).sum(dim=1).mean())
        assert cosine == pytest.approx((1 + length**2) ** -0.5, abs=0.01)

    def test_the_empty_prompt_is_never_perturbed(self, recipe):
        task = make(recipe(embedding_noise=0.5, run={"batch_size": 200}))
        _, E, _, _ = task._batch(0)
        assert (task.E_empty == E).all(dim=1).any()

    def test_with_no_chance_the_empty_prompt_is_never_shown(self, recipe):
        task = make(recipe(unconditional_probability=0.0, run={"batch_size": 50}))
        assert not (task._batch(0)[1] == task.E_empty).all(dim=1).any()


class TestTraining:
    @torch.no_grad()
    def test_it_begins_by_taking_everything_for_noise(self, recipe):
        task = make(recipe())
        z_n, E = normal(3, 4, 64, 4), task.E_empty.expand(3, -1)
        for n in (0.0, 999.0):
            eps = task.unet(z_n, torch.full((3,), n), E)
            # The last norm sets mean and deviation of every group of channels, hence not equal.
            torch.testing.assert_close(eps, z_n, rtol=0.2, atol=0.2)

    def test_one_too_narrow_for_that_begins_as_nothing(self, recipe):
        narrow = UNET.model_copy(update={"block_channels": (4, 8, 16), "heads": (1, 1, 2)})
        task = make(recipe(model=narrow.model_dump(), run={"batch_size": 32}))
        assert task.step(0)["loss"] == pytest.approx(1, abs=0.05)

    def test_the_loss_falls(self, recipe):
        task = make(recipe(run={"batch_size": 8}))
        for group in task.optimizers["unet"].param_groups:
            group["lr"] = 3e-3
        losses = [task.step(0)["loss"] for _ in range(25)]  # the same batch every time
        assert losses[-1] < 0.8 * losses[0]

    def test_it_resumes_bit_for_bit(self, recipe, tmp_path):
        recipes = {name: recipe(tmp_path / name) for name in ("unbroken", "resumed")}
        assert_same_weights(*unbroken_and_resumed(make, recipes.get))

    def test_parts_make_the_steps_of_the_whole(self, recipe):
        assert_close_weights(*in_parts_and_whole(make, recipe))

    @pytest.mark.parametrize("precision", ["bf16", "fp16"])
    def test_half_precision_is_finite(self, recipe, precision):
        assert_finite(make(recipe(run={"precision": precision})))

    def test_the_average_follows(self, recipe):
        task = make(recipe(ema_decay=0.0))
        task.step(0)
        assert all(
            torch.equal(average, weight)
            for average, weight in zip(task.ema.parameters(), task.unet.parameters(), strict=True)
        )
        lagging = make(recipe(ema_decay=0.9))
        start = lagging.ema.conv_in.weight.clone()
        lagging.step(0)
        step = lagging.unet.conv_in.weight - start
        # Early decay is (1 + k)/(10 + k): a tenth at the first step.
        torch.testing.assert_close(
            lagging.ema.conv_in.weight, start + 0.9 * step, rtol=1e-4, atol=1e-7
        )
        assert not any(p.requires_grad for p in lagging.ema.parameters())

    def test_min_snr_weights(self, recipe):
        n = torch.tensor([0, 300, 999])
        plain, weighted = make(recipe()), make(recipe(min_snr_gamma=5.0))
        assert plain._weights(n).tolist() == [1, 1, 1]
        alpha_bar = weighted.schedule.alpha_bar[n]
        snr = alpha_bar / (1 - alpha_bar)
        expected = (snr.clamp(max=5) / snr).float()
        torch.testing.assert_close(weighted._weights(n), expected, rtol=1e-4, atol=0)
        assert weighted._weights(n)[0] < 0.01 and weighted._weights(n)[2] == 1


class TestFiles:
    def test_what_is_exported_is_the_average(self, recipe, tmp_path):
        task = make(recipe(tmp_path, run={"steps": 2}))
        train(task, task.recipe.run)
        unet = read_unet(task.recipe.run.folder / "model" / "unet")
        assert unet.config == UNET
        for ours, average in zip(unet.parameters(), task.ema.parameters(), strict=True):
            assert torch.equal(ours, average)

    def test_previews_are_sounds_and_a_picture(self, recipe, tmp_path):
        make(recipe()).preview(tmp_path / "previews", 7)
        sounds = sorted(path.name for path in (tmp_path / "previews").glob("*.wav"))
        assert len(sounds) == 16
        assert sounds[0] == "0000007-encoded-0.wav" and sounds[-1] == "0000007-generated-7.wav"
        assert (tmp_path / "previews" / "0000007.png").read_bytes()[:4] == b"\x89PNG"
