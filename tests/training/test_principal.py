"""A VAE of patches begins as the best linear one."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from latentfoley.training.principal import begin_as_principal_components, principal_components
from latentfoley.vae import Vae
from micro import VAE

CONFIG = VAE.model_copy(update={"patch_size": 4, "block_channels": (16,), "scaling_factor": 1.0})


def log_mels(seed=0):
    """Smooth surfaces and a little noise."""
    rng = torch.manual_seed(seed)
    coarse = torch.randn(6, 1, 5, 9, generator=rng)
    smooth = F.interpolate(coarse, (32, 64), mode="bilinear")
    return smooth + 0.1 * torch.randn(6, 1, 32, 64, generator=rng) - 3


def patches(X):
    return F.pixel_unshuffle(X, 4).movedim(1, 3).flatten(0, 2).numpy()


def test_components_are_those_of_the_singular_values():
    mean, components, stds = principal_components(log_mels(), 4)
    rows = patches(log_mels())
    _, singular, V = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    assert np.allclose(mean, rows.mean(axis=0), atol=1e-5)
    assert np.allclose(stds, singular / np.sqrt(len(rows) - 1), rtol=1e-3)
    assert np.allclose(np.abs((components.numpy() * V).sum(axis=1))[:4], 1, atol=1e-3)


def test_at_first_it_is_the_projection_on_the_first_components():
    vae = Vae(CONFIG)
    begin_as_principal_components(vae, log_mels())
    mean, components, _ = (x.numpy() for x in principal_components(log_mels(), 4))
    basis = components[: CONFIG.latent_channels]
    X = log_mels(seed=1)
    with torch.no_grad():
        made = patches(vae.decode(vae.encode(X)))
    assert np.allclose(made, mean + (patches(X) - mean) @ basis.T @ basis, atol=1e-3)


def test_its_latent_lies_around_zero_coarse_components_louder():
    vae = Vae(CONFIG)
    begin_as_principal_components(vae, log_mels())
    with torch.no_grad():
        z, logvar = vae.posterior(log_mels())
    stds = z.std(dim=(0, 2, 3))
    assert z.mean(dim=(0, 2, 3)).abs().max() < 1e-3
    assert (stds.diff() < 0).all()
    assert logvar.exp().sqrt().allclose(torch.tensor(0.1), atol=0.01)


def test_one_without_shortcuts_is_refused():
    with pytest.raises(TypeError, match="patch_size is 1"):
        begin_as_principal_components(Vae(VAE), log_mels())
