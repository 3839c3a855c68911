"""The first stage: laws, the published size, then diffusers' AutoencoderKL as oracle."""

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from latentfoley.checkpoints.layout import read_vae, write_vae
from latentfoley.config import VaeConfig
from latentfoley.errors import InputError
from latentfoley.presets import compression
from latentfoley.vae import Vae
from latentfoley.vae import kl_divergence as our_kl_divergence
from micro import VAE
from weights import normal, randomise, relative_error


@pytest.fixture(scope="module")
def vae():
    return randomise(Vae(VAE))


@pytest.fixture(scope="module")
def oracle(vae):
    theirs = _autoencoder(VAE)
    theirs.load_state_dict(vae.state_dict())
    return theirs.eval()


def _autoencoder(config):
    from diffusers import AutoencoderKL

    levels = len(config.block_channels)
    return AutoencoderKL(
        in_channels=1,
        out_channels=1,
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=config.block_channels,
        layers_per_block=config.layers_per_block,
        latent_channels=config.latent_channels,
        norm_num_groups=config.norm_groups,
        scaling_factor=config.scaling_factor,
    )


class TestSizes:
    def test_the_published_one(self):
        with torch.device("meta"):
            vae = Vae(VaeConfig())
        assert sum(p.numel() for p in vae.parameters()) == 55_376_873

    def test_published_names_and_shapes(self):
        with torch.device("meta"):
            ours, theirs = Vae(VaeConfig()).state_dict(), _autoencoder(VaeConfig()).state_dict()
        assert len(ours) == 204
        assert {k: v.shape for k, v in ours.items()} == {k: v.shape for k, v in theirs.items()}

    @pytest.mark.parametrize(("r", "channels"), [(2, 4), (4, 8), (8, 16), (16, 32)])
    def test_every_compression(self, r, channels):
        config = compression(r)
        assert config.compression == r
        with torch.device("meta"):
            vae, log_mel = Vae(config), torch.zeros(2, 1, 64, 64)
            latent = vae.encode(log_mel)
            assert latent.shape == (2, channels, 64 // r, 64 // r)
            assert vae.decode(latent).shape == log_mel.shape

    @pytest.mark.parametrize("shape", [(18, 16), (16, 18), (1, 64)])
    def test_a_size_that_does_not_divide_is_refused(self, vae, shape):
        with pytest.raises(InputError, match=rf"multiples of 4, got \({shape[0]}, {shape[1]}\)"):
            vae.encode(torch.zeros(1, 1, *shape))


class TestLaws:
    @torch.no_grad()
    def test_without_noise_it_is_the_scaled_mean(self, vae):
        X = normal(2, 1, 16, 16)
        mean, _ = vae.posterior(X)
        torch.testing.assert_close(vae.encode(X), VAE.scaling_factor * mean)
        torch.testing.assert_close(vae.encode(X), vae.encode(X), rtol=0, atol=0)

    @torch.no_grad()
    def test_noise_moves_it_by_its_deviation(self, vae):
        X, noise = normal(2, 1, 16, 16), normal(2, 4, 4, 4, seed=1)
        _, logvar = vae.posterior(X)
        moved = (vae.encode(X, noise) - vae.encode(X)) / VAE.scaling_factor
        torch.testing.assert_close(moved, torch.exp(logvar / 2) * noise, rtol=1e-4, atol=1e-5)

    @torch.no_grad()
    def test_the_scaling_factor_cancels(self, vae):
        other = Vae(VAE.model_copy(update={"scaling_factor": 7.0}))
        other.load_state_dict(vae.state_dict())
        X = normal(1, 1, 16, 16)
        torch.testing.assert_close(other.decode(other.encode(X)), vae.decode(vae.encode(X)))

    @torch.no_grad()
    def test_a_clip_does_not_know_its_neighbours(self, vae):
        X, z = normal(3, 1, 16, 16), normal(3, 4, 5, 4)
        alone = torch.cat([vae.encode(x[None]) for x in X])
        torch.testing.assert_close(vae.encode(X), alone, rtol=1e-5, atol=1e-5)
        alone = torch.cat([vae.decode(x[None]) for x in z])
        torch.testing.assert_close(vae.decode(z), alone, rtol=1e-5, atol=1e-5)

    @torch.no_grad()
    def test_log_variance_is_clamped(self):
        vae = randomise(Vae(VAE))
        vae.quant_conv.weight.mul_(1e6)
        _, logvar = vae.posterior(normal(1, 1, 16, 16))
        assert logvar.min() == -30 and logvar.max() == 20

    def test_kl_is_that_of_normal_distributions(self):
        mean, logvar = normal(3, 4, 5, 6), normal(3, 4, 5, 6, seed=1)
        exact = kl_divergence(Normal(mean, torch.exp(logvar / 2)), Normal(0, 1))
        ours = our_kl_divergence(mean, logvar)
        torch.testing.assert_close(ours, exact.mean(dim=(1, 2, 3)))
        assert our_kl_divergence(torch.zeros(1, 4, 5, 6), torch.zeros(1, 4, 5, 6)) == 0


class TestOracle:
    @pytest.mark.parametrize("frames", [16, 52, 100])
    @torch.no_grad()
    def test_the_posterior_is_diffusers(self, vae, oracle, frames):
        X = normal(2, 1, frames, 16)
        theirs = oracle.encode(X).latent_dist
        mean, logvar = vae.posterior(X)
        assert relative_error(mean, theirs.mean) < 1e-5
        assert relative_error(logvar, theirs.logvar) < 1e-5

    @pytest.mark.parametrize("frames", [16, 13, 25])
    @torch.no_grad()
    def test_the_reconstruction_is_diffusers(self, vae, oracle, frames):
        z_0 = normal(2, 4, frames, 4)
        theirs = oracle.decode(z_0 / VAE.scaling_factor).sample
        assert relative_error(vae.decode(z_0), theirs) < 1e-5

    def test_names_and_shapes_are_diffusers(self, vae, oracle):
        ours, theirs = vae.state_dict(), oracle.state_dict()
        assert {k: v.shape for k, v in ours.items()} == {k: v.shape for k, v in theirs.items()}


class TestPatches:
    """A VAE whose first level is one of patches, beside a linear map."""

    CONFIG = VAE.model_copy(update={"patch_size": 4, "block_channels": (8, 16)})

    @pytest.fixture(scope="class")
    def vae(self):
        return randomise(Vae(self.CONFIG))

    def test_patches_and_levels_multiply(self, vae):
        assert self.CONFIG.compression == 8
        X = normal(2, 1, 24, 64)
        z = vae.encode(X)
        assert z.shape == (2, self.CONFIG.latent_channels, 3, 8)
        assert vae.decode(z).shape == X.shape

    @pytest.fixture
    def linear_vae(self):
        vae = randomise(Vae(self.CONFIG))
        for layer in (vae.encoder.conv_out, vae.decoder.conv_out):
            torch.nn.init.zeros_(layer.weight)
            torch.nn.init.zeros_(layer.bias)
        return vae

    def test_without_its_networks_it_is_linear(self, linear_vae):
        X, Y, zero = normal(1, 1, 16, 64), normal(1, 1, 16, 64, seed=1), torch.zeros(1, 1, 16, 64)

        def linear(X):
            return linear_vae.decode(linear_vae.encode(X)) - linear_vae.decode(
                linear_vae.encode(zero)
            )

        with torch.no_grad():
            assert relative_error(linear(X + 2 * Y), linear(X) + 2 * linear(Y)) < 1e-4

    def test_a_patch_knows_its_neighbours_by_the_networks_alone(self, vae, linear_vae):
        X = normal(1, 1, 16, 64)
        changed = X.clone()
        changed[:, :, 8:, 16:24] += 1
        for one, others_change in ((linear_vae, False), (vae, True)):
            with torch.no_grad():
                difference = (one.encode(changed) - one.encode(X))[0].abs().amax(dim=0)  # (2, 8)
            assert difference[1, 2] > 0
            difference[1, 2] = 0
            assert bool(difference.any()) == others_change

    def test_more_channels_than_values_are_refused(self):
        with pytest.raises(ValueError, match="more than the 4 values of a patch"):
            VaeConfig(latent_channels=8, patch_size=2, block_channels=(32,))

    def test_it_survives_its_file(self, vae, tmp_path):
        write_vae(tmp_path, self.CONFIG, vae.state_dict())
        read = read_vae(tmp_path)
        assert read.config == self.CONFIG
        X = normal(1, 1, 16, 64)
        assert torch.equal(read.encode(X), vae.encode(X))
