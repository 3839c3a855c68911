"""The loss by noise level: of a batch, and of what is held out."""

import torch

from latentfoley.data.latents import LatentCache
from latentfoley.diffusion import Schedule
from latentfoley.training.by_timestep import Validation, by_third


def test_thirds_make_up_the_batch():
    n = torch.tensor([0, 333, 334, 600, 999, 667])
    per_clip = torch.tensor([1.0, 3.0, 5.0, 7.0, 11.0, 13.0])
    named = by_third(per_clip, n, 1000)
    assert named == {"loss_low_noise": 2.0, "loss_middle_noise": 6.0, "loss_high_noise": 12.0}


def test_a_third_without_clips_is_left_out():
    assert by_third(torch.ones(1), torch.tensor([5]), 1000) == {"loss_low_noise": 1.0}


def test_every_window_meets_every_level_once(latents):
    cache = LatentCache(latents, "train")
    validation = Validation(cache, 4, 0.9, Schedule())
    met = []
    losses = validation.losses(lambda batch: [met.append(batch), batch.n.float()][1])
    assert len(losses) == 11 and losses["validation_loss"] == 500
    assert losses["validation_loss_n050"] == 50 and losses["validation_loss_n950"] == 950
    assert sum(len(batch.n) for batch in met) == 10 * min(64, len(cache))
    mean = torch.cat([batch.z_0 for batch in met[: len(met) // 10]])
    stored = cache.batch(validation.items, ["mean"])["mean"].float()
    torch.testing.assert_close(mean, 0.9 * stored)


def test_noise_differs_between_levels_and_windows_but_never_between_times(latents):
    cache = LatentCache(latents, "train")

    def noise(batch_size):
        met = []
        Validation(cache, batch_size, 0.9, Schedule()).losses(
            lambda batch: [met.append(batch.eps), batch.n.float()][1]
        )
        return torch.cat(met).flatten(1)

    first = noise(4)
    assert torch.equal(first, noise(4))
    assert torch.equal(first, noise(3))
    assert len(torch.unique(first, dim=0)) == len(first)
