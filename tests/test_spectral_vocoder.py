"""The spectral vocoder: laws of its inverse STFT, of length and of reach, and its folder."""

import json

import pytest
import torch

from latentfoley.checkpoints import layout
from latentfoley.config import ModelConfig, SpectralVocoderConfig
from latentfoley.errors import ModelError, RecipeError
from latentfoley.mel import mel_filters
from latentfoley.spectral_vocoder import SpectralVocoder, build_vocoder, interpolation, overlap_add
from latentfoley.vocoder import Vocoder
from micro import VOCODER
from weights import normal, randomise

CONFIG = SpectralVocoderConfig(kind="spectral", width=16, hidden=32, n_blocks=2)


class TestOverlapAdd:
    def test_it_inverts_the_stft(self):
        n_fft, hop, n_frames = 640, 160, 20
        waveform = normal(2, hop * n_frames)
        padded = torch.nn.functional.pad(waveform, ((n_fft - hop) // 2,) * 2)
        frames = padded.unfold(1, n_fft, hop) * torch.hann_window(n_fft)
        assert torch.allclose(overlap_add(frames, hop), waveform, atol=1e-5)

    def test_it_is_linear(self):
        frames = normal(1, 8, 640)
        assert torch.allclose(overlap_add(2 * frames, 160), 2 * overlap_add(frames, 160), atol=1e-6)


class TestNetwork:
    @pytest.mark.parametrize("frames", [1, 2, 13])
    @torch.no_grad()
    def test_a_frame_is_a_hop_of_samples(self, frames):
        assert SpectralVocoder(CONFIG)(normal(2, 1, frames, 64)).shape == (2, 160 * frames)

    @torch.no_grad()
    def test_it_reaches_no_further_than_it_says(self):
        vocoder = randomise(SpectralVocoder(CONFIG))
        X = normal(1, 1, 61, 64)
        Y = X.clone()
        Y[:, :, 30] += 1
        changed = (vocoder(X) != vocoder(Y))[0].nonzero() // 160
        assert 30 - vocoder.reach <= changed.min() and changed.max() <= 30 + vocoder.reach

    @torch.no_grad()
    def test_each_clip_is_alone(self):
        vocoder, X = randomise(SpectralVocoder(CONFIG)), normal(3, 1, 16, 64)
        assert torch.allclose(vocoder(X)[1:2], vocoder(X[1:2]), atol=1e-5)

    @torch.no_grad()
    def test_a_louder_log_mel_is_as_much_louder_before_training(self):
        vocoder = SpectralVocoder(CONFIG)
        vocoder.magnitude.weight.zero_()
        vocoder.phase.weight.zero_()
        X = -3 + 0.1 * normal(1, 1, 16, 64)
        middle = slice(400, 2000)
        quiet, loud = vocoder(X)[0, middle], vocoder(X + 1)[0, middle]
        assert loud.norm() / quiet.norm() == pytest.approx(2.718, rel=0.02)

    def test_interpolation_weights_sum_to_one(self):
        sums = interpolation(CONFIG).sum(dim=1)
        assert torch.allclose(sums, torch.ones(321), atol=1e-5)


class TestConfig:
    def test_the_kind_chooses_the_network(self):
        assert isinstance(build_vocoder(CONFIG), SpectralVocoder)
        assert isinstance(build_vocoder(VOCODER), Vocoder)

    def test_a_model_takes_either(self):
        values = {"vocoder": {"kind": "spectral", "width": 32}}
        assert ModelConfig.parse(values, where="test").vocoder.width == 32
        assert ModelConfig.parse({"vocoder": {"channels": 64}}, where="test").vocoder.channels == 64

    @pytest.mark.parametrize(
        ("values", "said"),
        [
            ({"kind": "spectral", "wdith": 32}, r"unknown key 'wdith' in \[vocoder\].*'width'"),
            ({"chanels": 32}, r"unknown key 'chanels' in \[vocoder\].*'channels'"),
            ({"kind": "spectral", "n_fft": 500}, "n_fft 500 must be an even multiple"),
            ({"kind": "wavenet"}, "vocoder"),
        ],
    )
    def test_mistakes_are_named(self, values, said):
        with pytest.raises(RecipeError, match=said):
            ModelConfig.parse({"vocoder": values}, where="test")


class TestFolder:
    @torch.no_grad()
    def test_a_written_one_is_read_as_the_same_function(self, tmp_path):
        vocoder, X = randomise(SpectralVocoder(CONFIG)), normal(1, 1, 9, 64)
        layout.write_vocoder(tmp_path, CONFIG, vocoder.state_dict())
        assert torch.equal(layout.read_vocoder(tmp_path)(X), vocoder(X))

    def test_it_is_read_in_a_fresh_process(self, tmp_path):
        layout.write_vocoder(tmp_path, CONFIG, SpectralVocoder(CONFIG).state_dict())
        mel_filters.cache_clear()
        layout.read_vocoder(tmp_path)

    def test_the_index_names_its_class(self, tmp_path):
        layout.write_index(tmp_path, "BertTokenizer", vocoder=CONFIG)
        layout.require_classes(tmp_path)
        index = json.loads((tmp_path / "model_index.json").read_text())
        assert index["vocoder"] == ["latentfoley", "SpectralVocoder"]
        index["vocoder"][1] = "WaveNet"
        (tmp_path / "model_index.json").write_text(json.dumps(index))
        with pytest.raises(ModelError, match="WaveNet"):
            layout.require_classes(tmp_path)
