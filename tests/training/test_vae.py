"""Training of the first stage on four recordings."""

import math

import pytest
import torch

from latentfoley.checkpoints.layout import read_vae
from latentfoley.errors import ModelError, RecipeError
from latentfoley.mel import log_mel
from latentfoley.training.loop import train
from latentfoley.training.vae import ForwardPass, VaeRecipe, VaeTask
from micro import VAE
from tasks import (
    assert_close_weights,
    assert_finite,
    assert_same_weights,
    assert_validates_alike,
    in_parts_and_whole,
    run_recipe,
    unbroken_and_resumed,
)

CPU = torch.device("cpu")


@pytest.fixture
def recipe(recordings, tmp_path):
    """A recipe for the micro model; keywords change it."""

    def recipe(folder="run", run=None, **changes):
        values = {
            "run": run_recipe(tmp_path / folder, **(run or {})),
            "data": {"manifest": recordings, "folder": recordings.parent},
            "model": VAE.model_dump(),
            "crop_frames": 24,
            "discriminator_channels": 4,
        }
        return VaeRecipe.parse(values | changes, where="test")

    return recipe


def make(recipe):
    return VaeTask(recipe, CPU)


def test_the_adversary_joins_when_it_is_told_to(recipe):
    task = make(recipe(adversarial_start=1))
    discriminator = [p.clone() for p in task.discriminator.parameters()]
    assert set(task.step(0)) == {"l1", "kl", "gradient_norm"}
    assert all(
        torch.equal(p, q)
        for p, q in zip(task.discriminator.parameters(), discriminator, strict=True)
    )
    losses = task.step(1)
    assert set(losses) == {"l1", "kl", "adversarial", "discriminator", "gradient_norm"}
    assert all(math.isfinite(value) for value in losses.values())
    assert not torch.equal(next(task.discriminator.parameters()), discriminator[0])


def test_it_goes_on_from_a_trained_one(recipe, micro_model_folder):
    trained = read_vae(micro_model_folder / "vae").state_dict()
    task = make(recipe(start=micro_model_folder))
    assert all(torch.equal(w, trained[key]) for key, w in task.vae.state_dict().items())


def test_with_a_frozen_encoder_the_decoder_alone_is_trained(recipe, micro_model_folder, tmp_path):
    """What the start has encoded stays good: the same posterior and the same scaling factor."""
    start = read_vae(micro_model_folder / "vae")
    task = make(recipe(start=micro_model_folder, frozen_encoder=True))
    task.step(0)
    task.export(tmp_path)
    made = read_vae(tmp_path / "vae")
    X = torch.randn(1, 1, 24, 64, generator=torch.manual_seed(0))
    with torch.no_grad():
        for ours, theirs in zip(made.posterior(X), start.posterior(X), strict=True):
            assert torch.equal(ours, theirs)
        assert not torch.equal(made.decode(made.encode(X)), start.decode(start.encode(X)))
    assert made.config.scaling_factor == start.config.scaling_factor


def test_a_frozen_encoder_needs_one_to_keep(recipe):
    with pytest.raises(RecipeError, match="give 'start'"):
        recipe(frozen_encoder=True)


def test_one_of_patches_begins_far_better_than_a_random_one(recipe):
    patches = VAE.model_copy(update={"patch_size": 4, "block_channels": (32,)})
    linear, random = make(recipe(model=patches.model_dump())), make(recipe())
    assert linear.validate()["validation_l1"] < 0.5 * random.validate()["validation_l1"]


def test_it_does_not_go_on_from_one_of_another_size(recipe, micro_model_folder):
    wider = VAE.model_copy(update={"latent_channels": 2 * VAE.latent_channels})
    with pytest.raises(ModelError, match="shape of quant_conv"):
        make(recipe(start=micro_model_folder, model=wider.model_dump()))


def test_the_reconstruction_improves(recipe):
    task = make(recipe(adversarial_start=10**6))
    for group in task.optimizers["vae"].param_groups:
        group["lr"] = 3e-3
    losses = [task.step(0)["l1"] for _ in range(25)]  # the same batch every time
    assert losses[-1] < 0.6 * losses[0]


def test_the_adaptive_weight_evens_the_gradients(recipe):
    task = make(recipe(adversarial_weight=0.5))
    last = task.vae.decoder.conv_out.weight
    size = float(last.detach().norm())
    losses = {"l1": (3 * last).square().sum(), "adversarial": 5 * last.sum()}
    weight = task._adaptive_weight([task._last_gradients(ForwardPass(None, losses))])
    of_l1, of_adversarial = 18 * size, 5 * last.numel() ** 0.5
    assert float(weight) == pytest.approx(0.5 * of_l1 / of_adversarial, rel=1e-3)
    assert not weight.requires_grad


def test_it_resumes_bit_for_bit(recipe):
    assert_same_weights(*unbroken_and_resumed(make, recipe))


def test_parts_make_the_steps_of_the_whole(recipe):
    assert_close_weights(*in_parts_and_whole(make, recipe))


def test_held_out_losses_are_the_same_every_time(recipe):
    assert_validates_alike(make(recipe()))


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_is_finite(recipe, precision, monkeypatch):
    monkeypatch.setattr("latentfoley.training.optimisation.has_bf16", lambda device: True)
    assert_finite(make(recipe(run={"precision": precision})))


def test_the_exported_latent_has_unit_variance(recipe):
    task = make(recipe())
    train(task, task.recipe.run)
    vae = read_vae(task.recipe.run.folder / "model" / "vae")
    assert not vae.training
    variances = []
    for clip in task.clips:
        X = log_mel(torch.from_numpy(clip.waveform[:15_360] / 2)[None], task.recipe.mel)
        with torch.no_grad():
            mean, logvar = vae.posterior(X[:, :, : X.shape[2] // 4 * 4])
        variances.append((mean.square() + logvar.exp()).mean())
    variance = vae.config.scaling_factor**2 * float(torch.stack(variances).mean())
    assert variance == pytest.approx(1, rel=0.3)  # other crops than those it was measured on


def test_previews_are_sounds_and_a_picture(recipe, tmp_path):
    make(recipe()).preview(tmp_path / "previews", 7)
    names = {path.name for path in (tmp_path / "previews").iterdir()}
    assert {"0000007-real-0.wav", "0000007-reconstructed-0.wav"} < names
    picture = tmp_path / "previews" / "0000007.png"
    assert picture.read_bytes()[:4] == b"\x89PNG"
