"""A widened model is the one it was, with channels that wait to be learned."""

import sys
from pathlib import Path

import pytest
import torch

from latentfoley.checkpoints.parts import open_folder
from latentfoley.unet import Unet
from latentfoley.vae import Vae

sys.path.insert(0, str(Path(__file__).parents[2] / "recipes" / "tiny"))

import widen

NEW = 3  # channels


@pytest.fixture(scope="module")
def models(micro_model_folder):
    """The VAE and the denoiser of the micro model, and of the widened one."""
    torch.manual_seed(0)
    parts = open_folder(micro_model_folder)
    old = parts.vae.config.latent_channels
    wide = widen.widened(parts, old + NEW)
    return old, [(p.vae.fill(Vae), p.unet.fill(Unet)) for p in (parts, wide)]


@torch.no_grad()
def test_old_channels_are_encoded_and_denoised_as_before(models):
    old, ((vae, unet), (wide_vae, wide_unet)) = models
    z = vae.encode(torch.randn(1, 1, 32, 64))
    wide_z = wide_vae.encode(torch.randn(1, 1, 32, 64, generator=torch.manual_seed(1)))
    assert wide_z.shape[1] == old + NEW
    assert z.shape[2:] == wide_z.shape[2:]
    X = torch.randn(1, 1, 32, 64)
    assert torch.allclose(vae.encode(X), wide_vae.encode(X)[:, :old], atol=1e-5)
    z, n = torch.randn(1, old + NEW, 8, 16), torch.tensor([500.0])
    E = torch.nn.functional.normalize(torch.randn(1, unet.config.embedding_dim), dim=1)
    made = wide_unet(z, n, E)
    assert torch.allclose(unet(z[:, :old], n, E), made[:, :old], atol=1e-5)
    assert not made[:, old:].any()


@torch.no_grad()
def test_but_for_what_it_reads_of_new_channels_it_decodes_as_before(
    micro_model_folder, monkeypatch
):
    monkeypatch.setattr(widen, "READ", 0.0)
    parts = open_folder(micro_model_folder)
    wide = widen.widened(parts, parts.vae.config.latent_channels + NEW)
    X = torch.randn(1, 1, 32, 64)
    before, after = (p.vae.fill(Vae) for p in (parts, wide))
    made = after.decode(after.encode(X))
    assert torch.allclose(before.decode(before.encode(X)), made, atol=1e-5)


def test_fewer_channels_are_refused(micro_model_folder):
    with pytest.raises(SystemExit, match="give more than that"):
        widen.widened(open_folder(micro_model_folder), 2)
