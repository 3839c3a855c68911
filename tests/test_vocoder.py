"""The generator: laws of length and level, then transformers' SpeechT5HifiGan as oracle."""

import math

import pytest
import torch

from latentfoley.config import VocoderConfig
from latentfoley.vocoder import Vocoder
from micro import VOCODER
from weights import normal, randomise, relative_error

PUBLISHED = VocoderConfig()
# The published rates and kernels with few channels.
NARROW = PUBLISHED.model_copy(update={"channels": 64})


def hifigan(config):
    from transformers import SpeechT5HifiGan, SpeechT5HifiGanConfig

    return SpeechT5HifiGan(
        SpeechT5HifiGanConfig(
            model_in_dim=config.n_mels,
            sampling_rate=config.sample_rate,
            upsample_initial_channel=config.channels,
            upsample_rates=list(config.upsample_rates),
            upsample_kernel_sizes=list(config.upsample_kernels),
            resblock_kernel_sizes=list(config.resblock_kernels),
            resblock_dilation_sizes=[list(d) for d in config.resblock_dilations],
            leaky_relu_slope=config.leaky_relu_slope,
            normalize_before=False,
        )
    )


class TestSizes:
    def test_the_published_one(self):
        with torch.device("meta"):
            vocoder = Vocoder(PUBLISHED)
        assert sum(p.numel() for p in vocoder.parameters()) == 55_264_897
        assert len(vocoder.state_dict()) == 196

    def test_published_names_and_shapes(self):
        with torch.device("meta"):
            ours, theirs = Vocoder(PUBLISHED).state_dict(), hifigan(PUBLISHED).state_dict()
        assert {k: v.shape for k, v in ours.items()} == {k: v.shape for k, v in theirs.items()}

    def test_the_rates_multiply_to_the_hop(self):
        assert math.prod(PUBLISHED.upsample_rates) == math.prod(VOCODER.upsample_rates) == 160


class TestLaws:
    @pytest.mark.parametrize("frames", [1, 2, 13, 16])
    @torch.no_grad()
    def test_the_published_kernels_leave_a_tail_of_32_samples(self, frames):
        assert Vocoder(NARROW)(normal(2, 1, frames, 64)).shape == (2, 160 * frames + 32)

    @torch.no_grad()
    def test_kernels_that_match_their_rates_leave_none(self):
        even = NARROW.model_copy(update={"upsample_kernels": (15, 16, 8, 4, 4)})
        assert Vocoder(even)(normal(1, 1, 7, 64)).shape == (1, 160 * 7)

    @torch.no_grad()
    def test_samples_lie_within_full_scale(self):
        waveform = randomise(Vocoder(VOCODER))(3 * normal(2, 1, 16, 64))
        assert waveform.abs().max() < 1
        assert waveform.std() > 0.01

    @torch.no_grad()
    def test_a_clip_does_not_know_its_neighbours(self):
        vocoder, X = randomise(Vocoder(VOCODER)), normal(3, 1, 16, 64)
        alone = torch.cat([vocoder(x[None]) for x in X])
        torch.testing.assert_close(vocoder(X), alone, rtol=1e-5, atol=1e-5)

    @torch.no_grad()
    def test_one_frame_later_is_one_hop_later(self):
        vocoder, X = randomise(Vocoder(VOCODER)), normal(1, 1, 61, 64)
        first, later = vocoder(X[:, :, :60]), vocoder(X[:, :, 1:])
        middle = slice(20 * 160, 40 * 160)  # the receptive field is shorter than 20 frames
        moved = slice(19 * 160, 39 * 160)
        torch.testing.assert_close(later[:, moved], first[:, middle], rtol=1e-4, atol=1e-5)


class TestOracle:
    @pytest.mark.parametrize("config", [VOCODER, NARROW], ids=["micro", "published kernels"])
    @pytest.mark.parametrize("frames", [16, 13, 25])
    @torch.no_grad()
    def test_the_waveform_is_that_of_transformers(self, config, frames):
        ours = randomise(Vocoder(config))
        theirs = hifigan(config)
        theirs.load_state_dict(ours.state_dict())
        X = normal(2, 1, frames, 64)
        expected = theirs.eval()(X.squeeze(1))
        assert expected.std() > 0.01
        assert relative_error(ours(X), expected) < 1e-5
