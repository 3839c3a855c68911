"""ε_θ: laws, the published sizes, then diffusers' UNet2DConditionModel as oracle."""

import pytest
import torch

from latentfoley.config import UnetConfig
from latentfoley.presets import large, medium, small
from latentfoley.unet import Unet
from micro import UNET
from weights import normal, randomise, relative_error

# Four levels, and widths that 8 heads would not divide.
DEEP = UnetConfig(
    latent_channels=4,
    block_channels=(8, 12, 20, 24),
    layers_per_block=2,
    heads=(1, 3, 5, 2),
    embedding_dim=6,
    norm_groups=4,
)
SIZES = {"S": (small, 185_036_552), "M": (medium, 415_954_568), "L": (large, 739_139_080)}


def inputs(config, frames, bands=4, batch=2):
    """z_n, n (one of them a fraction) and E."""
    z_n = normal(batch, config.latent_channels, frames, bands)
    n = torch.tensor([999.0, 0.0, 417.25])[:batch]
    return z_n, n, torch.nn.functional.normalize(normal(batch, config.embedding_dim, seed=1))


def unet_of_diffusers(config, heads):
    from diffusers import UNet2DConditionModel

    lower = len(config.block_channels) - 1
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=config.latent_channels,
        out_channels=config.latent_channels,
        down_block_types=("DownBlock2D", *("CrossAttnDownBlock2D",) * lower),
        mid_block_type="UNetMidBlock2DCrossAttn",
        up_block_types=(*("CrossAttnUpBlock2D",) * lower, "UpBlock2D"),
        block_out_channels=config.block_channels,
        layers_per_block=config.layers_per_block,
        cross_attention_dim=config.block_channels,
        attention_head_dim=heads,  # the number of heads, in spite of its name
        class_embed_type="simple_projection",
        class_embeddings_concat=True,
        projection_class_embeddings_input_dim=config.embedding_dim,
        norm_num_groups=config.norm_groups,
    )


@pytest.fixture(scope="module", params=[UNET, DEEP], ids=["micro", "deep"])
def pair(request):
    """Our network and diffusers', with the same weights."""
    ours = randomise(Unet(request.param))
    theirs = unet_of_diffusers(request.param, request.param.heads)
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs.eval()


class TestSizes:
    @pytest.mark.parametrize("size", SIZES)
    def test_parameters_of_the_published_sizes(self, size):
        preset, parameters = SIZES[size]
        with torch.device("meta"):
            unet = Unet(preset().unet)
        assert sum(p.numel() for p in unet.parameters()) == parameters
        assert len(unet.state_dict()) == 690

    @pytest.mark.parametrize("size", SIZES)
    def test_published_names_and_shapes(self, size):
        config = SIZES[size][0]().unet
        with torch.device("meta"):
            ours, theirs = Unet(config).state_dict(), unet_of_diffusers(config, 8).state_dict()
        assert {k: v.shape for k, v in ours.items()} == {k: v.shape for k, v in theirs.items()}

    @pytest.mark.parametrize(("size", "heads"), [("S", 32), ("M", 32), ("L", 64)])
    def test_channels_per_head_as_trained(self, size, heads):
        config = SIZES[size][0]().unet
        widths = config.block_channels[1:]
        assert all(w == heads * h for w, h in zip(widths, config.heads[1:], strict=True))


class TestLaws:
    @pytest.mark.parametrize("frames", [1, 13, 16])
    @torch.no_grad()
    def test_the_noise_has_the_shape_of_the_latent(self, frames):
        z_n, n, E = inputs(UNET, frames)
        assert Unet(UNET)(z_n, n, E).shape == z_n.shape

    @torch.no_grad()
    def test_a_clip_does_not_know_its_neighbours(self):
        unet = randomise(Unet(UNET))
        z_n, n, E = inputs(UNET, 16, batch=3)
        together = unet(z_n, n, E)
        alone = torch.cat([unet(z_n[[i]], n[[i]], E[[i]]) for i in range(3)])
        assert relative_error(together, alone) < 1e-5

    @torch.no_grad()
    def test_step_and_embedding_are_heard(self):
        unet = randomise(Unet(UNET))
        z_n, n, E = inputs(UNET, 16)
        eps = unet(z_n, n, E)
        assert relative_error(unet(z_n, n, -E), eps) > 0.01
        assert relative_error(unet(z_n, n.flip(0), E), eps) > 0.01

    @torch.no_grad()
    def test_whole_steps_may_be_integers(self):
        unet = randomise(Unet(UNET))
        z_n, _, E = inputs(UNET, 16)
        n = torch.tensor([3, 998])
        torch.testing.assert_close(unet(z_n, n, E), unet(z_n, n.float(), E), rtol=0, atol=0)

    @torch.no_grad()
    def test_neighbouring_steps_differ_in_half_precision(self):
        unet = randomise(Unet(UNET)).bfloat16()
        steps = unet.time_embedding(torch.tensor([998.0, 999.0]))
        assert not torch.equal(steps[0], steps[1])

    def test_every_weight_is_used(self):
        unet = randomise(Unet(UNET))
        unet(*inputs(UNET, 16)).square().mean().backward()
        unused = [name for name, p in unet.named_parameters() if p.grad is None]
        assert unused == []
        assert all(p.grad.abs().max() > 0 for p in unet.parameters())


class TestOracle:
    @pytest.mark.parametrize("frames", [16, 13, 25])
    @torch.no_grad()
    def test_the_noise_is_diffusers(self, pair, frames):
        ours, theirs = pair
        z_n, n, E = inputs(ours.config, frames)
        expected = theirs(z_n, n, encoder_hidden_states=None, class_labels=E).sample
        assert relative_error(ours(z_n, n, E), expected) < 1e-5

    def test_names_and_shapes_are_diffusers(self, pair):
        ours, theirs = (network.state_dict() for network in pair)
        assert {k: v.shape for k, v in ours.items()} == {k: v.shape for k, v in theirs.items()}

    @torch.no_grad()
    def test_another_split_into_heads_would_show(self):
        ours = randomise(Unet(UNET))
        theirs = unet_of_diffusers(UNET, (1, 4, 2))
        theirs.load_state_dict(ours.state_dict())
        z_n, n, E = inputs(UNET, 16)
        other = theirs.eval()(z_n, n, encoder_hidden_states=None, class_labels=E).sample
        assert relative_error(ours(z_n, n, E), other) > 1e-3
