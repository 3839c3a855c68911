"""Training of ε_θ on four recordings: what a step does, what is averaged, kept and shown."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from latentfoley.checkpoints.layout import open_unet
from latentfoley.config import ScheduleConfig
from latentfoley.data.metadata import read_manifest, write_manifest
from latentfoley.errors import RecipeError
from latentfoley.lora import adapters
from latentfoley.places import Place
from latentfoley.training.diffusion import DiffusionTask
from latentfoley.training.diffusion_recipe import DiffusionRecipe
from latentfoley.training.first_weights import new_unet
from latentfoley.training.loop import train
from latentfoley.unet import Unet
from latents import encode_folder
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


@pytest.fixture
def recipe(latents, micro_model_folder, tmp_path):
    """A recipe for a new micro model; keywords change it, and None leaves a key out."""

    def recipe(folder=tmp_path, run=None, latents=latents, **changes):
        values = {
            "run": run_recipe(folder, **(run or {})),
            "data": {"latents": latents},
            "model": UNET.model_dump(),
            "vae": str(micro_model_folder),
            "clap": str(micro_model_folder),
            "vocoder": str(micro_model_folder),
        }
        chosen = {k: v for k, v in (values | changes).items() if v is not None}
        return DiffusionRecipe.parse(chosen, where="test")

    return recipe


@pytest.fixture
def onwards(recipe, micro_model_folder):
    """A recipe that trains the micro model on."""
    new = dict.fromkeys(("model", "vae", "clap", "vocoder"))
    return lambda *a, **changes: recipe(*a, **(new | {"start": str(micro_model_folder)} | changes))


def make(recipe):
    return DiffusionTask(recipe, CPU)


class TestTraining:
    @torch.no_grad()
    def test_it_begins_by_taking_everything_for_noise(self, recipe):
        task = make(recipe())
        z_n, E = normal(3, 4, 64, 4), task.batches.E_empty.expand(3, -1)
        for n in (0.0, 999.0):
            eps = task.unet(z_n, torch.full((3,), n), E)
            # The last norm sets mean and deviation of every group of channels, hence not equal.
            torch.testing.assert_close(eps, z_n, rtol=0.2, atol=0.2)

    def test_one_too_narrow_for_that_begins_as_nothing(self, recipe):
        narrow = UNET.model_copy(update={"block_channels": (4, 8, 16), "heads": (1, 1, 2)})
        task = make(recipe(model=narrow.model_dump(), run={"batch_size": 32}))
        assert task.step(0)["loss"] == pytest.approx(1, abs=0.05)

    @torch.no_grad()
    @pytest.mark.parametrize("size", [16, 512])
    def test_at_first_embeddings_are_heard_whatever_their_size(self, size):
        config = UNET.model_copy(update={"embedding_dim": size})
        unet = new_unet(config, ScheduleConfig())
        E = torch.nn.functional.normalize(normal(64, size), dim=1)
        n = torch.linspace(0, 999, 64)
        of_E, of_n = (
            x.std(dim=0).mean() for x in (unet.class_embedding(E), unet.time_embedding(n))
        )
        assert 2 < of_E / of_n < 10

    def test_a_cache_in_a_remote_place_teaches_the_same(self, recipe, latents, tmp_path):
        place = Place.of(f"memory://{tmp_path.name}/latents")
        for file in (path for path in latents.rglob("*") if path.is_file()):
            place.write(file.relative_to(latents).as_posix(), file.read_bytes())
        losses = []
        for folder in (latents, str(place)):
            task = make(recipe(latents=folder))
            losses.append([task.step(step)["loss"] for step in range(2)])
        assert losses[0] == losses[1]
        assert json.loads(recipe(latents=str(place)).model_dump_json())["data"] == {
            "latents": str(place)
        }

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
    def test_half_precision_is_finite(self, recipe, precision, monkeypatch):
        monkeypatch.setattr("latentfoley.training.optimisation.has_bf16", lambda device: True)
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

    @pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
    def test_min_snr_weights_the_error_in_z_0_by_at_most_gamma(self, recipe, prediction):
        """Both come to min(SNR, γ) ‖z_0 - ẑ_0‖²: an error in v is √(SNR + 1) one in z_0."""
        task = make(recipe(min_snr_gamma=5.0, schedule={"prediction": prediction}))
        n = torch.tensor([10, 300, 999])
        alpha_bar = task.schedule.alpha_bar[n]
        snr = alpha_bar / (1 - alpha_bar)
        per_z_0 = snr + 1 if task.predicts_v else snr  # ‖target error‖² / ‖z_0 error‖²
        expected = snr.clamp(max=5).float()
        torch.testing.assert_close(task._weights(n) * per_z_0.float(), expected, rtol=1e-3, atol=0)


class TestStart:
    def test_before_the_first_step_it_is_the_model(self, onwards, micro_model):
        task = make(onwards())
        for module in (task.unet, task.ema):
            for ours, theirs in zip(
                module.parameters(), micro_model.unet.parameters(), strict=True
            ):
                assert torch.equal(ours, theirs)
        assert task.parts.schedule == micro_model.config.schedule

    def test_training_on_leaves_the_model_alone(self, onwards, micro_model_folder):
        before = open_unet(micro_model_folder / "unet").fill(Unet)
        task = make(onwards())
        task.step(0)
        after = open_unet(micro_model_folder / "unet").fill(Unet)
        assert all(map(torch.equal, before.parameters(), after.parameters()))
        assert not torch.equal(task.unet.conv_in.weight, before.conv_in.weight)

    @pytest.mark.parametrize("optimizer", ["adamw", "muon"])
    def test_it_resumes_bit_for_bit(self, onwards, tmp_path, optimizer):
        recipes = {
            name: onwards(tmp_path / name, optimizer=optimizer) for name in ("unbroken", "resumed")
        }
        assert_same_weights(*unbroken_and_resumed(make, recipes.get))

    def test_latents_of_another_model_are_refused(self, onwards, tmp_path, micro_model_folder):
        another = shutil.copytree(micro_model_folder, tmp_path / "another")
        file = another / "vae" / "diffusion_pytorch_model.safetensors"
        weights = {name: tensor + 0.01 for name, tensor in load_file(file).items()}
        save_file(weights, file, metadata={"format": "pt"})
        with pytest.raises(RecipeError, match=r"is stale: vae was .*, now .* data encode"):
            make(onwards(start=str(another)))


class TestLora:
    @pytest.fixture
    def adapting(self, onwards):
        return lambda *a, **changes: onwards(*a, **({"lora": {"rank": 2}} | changes))

    def test_only_adapters_move(self, adapting, micro_model):
        task = make(adapting())
        for step in range(2):
            task.step(step)
        weights = micro_model.unet.state_dict()
        for name, tensor in task.unet.state_dict().items():
            if "adapter" not in name:
                assert torch.equal(tensor, weights[name.replace(".layer.", ".")]), name
        assert all(a.lora_B.weight.any() for a in adapters(task.unet).values())

    def test_a_checkpoint_holds_adapters_alone_and_the_average_no_second_copy(self, adapting):
        task = make(adapting())
        assert all("lora_" in name for m in task.modules.values() for name in m.state_dict())
        frozen = {name: p for name, p in task.unet.named_parameters() if not p.requires_grad}
        shared = dict(task.ema.named_parameters())
        same = {name for name, p in task.unet.named_parameters() if shared[name] is p}
        assert same == set(frozen) != set(shared)

    def test_it_resumes_bit_for_bit(self, adapting, tmp_path):
        recipes = {name: adapting(tmp_path / name) for name in ("unbroken", "resumed")}
        unbroken, resumed = unbroken_and_resumed(make, recipes.get)
        assert_same_weights(unbroken, resumed)
        for ours, theirs in zip(unbroken.unet.parameters(), resumed.unet.parameters(), strict=True):
            assert torch.equal(ours, theirs)


class TestHeldOut:
    def test_it_is_never_trained_on(self, onwards):
        cache = make(onwards()).batches.cache
        assert len(cache) == cache.info.n_windows - cache.info.n_held_out < cache.info.n_windows
        assert not cache.batch(range(len(cache)), ["held_out"])["held_out"].any()

    def test_the_loss_by_level_is_the_same_every_time(self, onwards):
        task = make(onwards())
        first = task.validate()
        levels = [f"validation_loss_n{n:03d}" for n in range(50, 1000, 100)]
        assert list(first) == ["validation_loss", *levels]
        mean = sum(first[name] for name in levels) / len(levels)
        assert first["validation_loss"] == pytest.approx(mean)
        assert task.validate() == first
        assert make(onwards(run={"seed": 7})).validate() == first

    def test_it_is_that_of_the_average(self, onwards):
        task = make(onwards(ema_decay=0.0))
        before = task.validate()
        torch.nn.init.zeros_(task.unet.conv_out.weight)
        assert task.validate() == before
        torch.nn.init.zeros_(task.ema.conv_out.weight)
        torch.nn.init.zeros_(task.ema.conv_out.bias)
        silent = task.validate()  # ε̂ = 0: what is left of the loss is the noise itself
        assert all(value == pytest.approx(1, abs=0.2) for value in silent.values())

    def test_nothing_held_out_nothing_said(self, onwards, recordings, micro_model_folder, tmp_path):
        entries = [
            entry.model_copy(update={"split": "train"}) for entry in read_manifest(recordings)
        ]
        folder = shutil.copytree(recordings.parent, tmp_path / "data")
        write_manifest(folder / "manifest.jsonl", entries)
        all_of_it = encode_folder(folder, tmp_path / "out", micro_model_folder)
        assert make(onwards(latents=all_of_it)).validate() == {}


class TestFiles:
    def test_what_is_exported_is_the_average(self, recipe, tmp_path):
        task = make(recipe(tmp_path, run={"steps": 2}))
        train(task, task.recipe.run)
        unet = open_unet(task.recipe.run.folder / "model" / "unet").fill(Unet)
        assert unet.config == UNET
        for ours, average in zip(unet.parameters(), task.ema.parameters(), strict=True):
            assert torch.equal(ours, average)

    def test_previews_are_sounds_and_a_picture(self, recipe, tmp_path):
        make(recipe()).preview(tmp_path / "previews", 7)
        sounds = sorted(path.name for path in (tmp_path / "previews").glob("*.wav"))
        assert len(sounds) == 16
        assert sounds[0] == "0000007-encoded-0.wav" and sounds[-1] == "0000007-generated-7.wav"
        assert (tmp_path / "previews" / "0000007.png").read_bytes()[:4] == b"\x89PNG"
        names = json.loads((tmp_path / "previews" / "names.json").read_text())
        assert set(names) == {*map(str, range(8))}
        assert any("tone" in name for name in names.values())
