"""CNN14: key list and shapes of the published files, an independent forward, librosa's mel."""

import librosa
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from latentfoley.errors import ModelError
from latentfoley.evaluation.embedders import cnn14, find_embedder
from signals import noise

# The published checkpoint, without the front end: five tensors per norm, no bias in convolutions.
NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
PUBLISHED_PARAMETERS = 80_753_615  # table of the paper, which does not count the fixed front end


def published_shapes(mel):
    """Return name → shape, written down from the paper's table, not from the module."""
    shapes = {
        "spectrogram_extractor.stft.conv_real.weight": (mel.n_fft // 2 + 1, 1, mel.n_fft),
        "spectrogram_extractor.stft.conv_imag.weight": (mel.n_fft // 2 + 1, 1, mel.n_fft),
        "logmel_extractor.melW": (mel.n_fft // 2 + 1, 64),
    }
    shapes |= {f"bn0.{part}": () if part == NORM[-1] else (64,) for part in NORM}
    n_in = 1
    for k, n_out in enumerate((64, 128, 256, 512, 1024, 2048), start=1):
        for layer, n in ((1, n_in), (2, n_out)):
            block = f"conv_block{k}"
            shapes[f"{block}.conv{layer}.weight"] = (n_out, n, 3, 3)
            shapes |= {f"{block}.bn{layer}.{p}": () if p == NORM[-1] else (n_out,) for p in NORM}
        n_in = n_out
    shapes |= {"fc1.weight": (2048, 2048), "fc1.bias": (2048,)}
    return shapes | {"fc_audioset.weight": (527, 2048), "fc_audioset.bias": (527,)}


def published_file(path, mel, **changes):
    """Write a file of that layout; every tensor is one stored number, so that it is small."""
    state = {key: torch.zeros(()).expand(shape) for key, shape in published_shapes(mel).items()}
    state = {k: v.long() if k.endswith(NORM[-1]) else v for k, v in state.items()}
    state["logmel_extractor.melW"] = torch.from_numpy(
        librosa.filters.mel(
            sr=mel.sample_rate, n_fft=mel.n_fft, n_mels=64, fmin=mel.f_min_hz, fmax=mel.f_max_hz
        ).T.copy()
    )
    torch.save({"iteration": 1, "model": state | changes}, path)
    return path


def test_parameters_are_those_of_the_paper():
    with torch.device("meta"):
        network = cnn14.Cnn14()
    assert sum(p.numel() for p in network.parameters()) == PUBLISHED_PARAMETERS


@pytest.mark.parametrize("mel", [cnn14.MEL_16K, cnn14.MEL_32K])
def test_keys_and_shapes_are_those_of_the_files(mel):
    with torch.device("meta"):
        ours = {key: tuple(v.shape) for key, v in cnn14.Cnn14().state_dict().items()}
    published = {
        k: v for k, v in published_shapes(mel).items() if not k.startswith(cnn14.FRONT_END_KEYS)
    }
    assert ours == published


@pytest.mark.parametrize(
    ("name", "mel"), [("cnn14-16k", cnn14.MEL_16K), ("cnn14-32k", cnn14.MEL_32K)]
)
def test_the_front_end_is_librosas(name, mel):
    sound = noise(0.5, mel.sample_rate)
    power = (
        np.abs(librosa.stft(sound, n_fft=mel.n_fft, hop_length=mel.hop_length, pad_mode="reflect"))
        ** 2
    )
    filters = librosa.filters.mel(
        sr=mel.sample_rate, n_fft=mel.n_fft, n_mels=64, fmin=mel.f_min_hz, fmax=mel.f_max_hz
    )
    expected = 10 * np.log10(np.maximum(filters @ power, 1e-10)).T
    ours = cnn14.log_mel(torch.from_numpy(sound)[None], mel)[0, 0].numpy()
    assert ours == pytest.approx(expected, abs=5e-3)


def by_hand(state, x):
    """The published forward pass as a list of operations on a state dictionary."""

    def norm(x, name):
        s = [state[f"{name}.{p}"] for p in NORM[:4]]
        shape = (1, -1, 1, 1)
        return (x - s[2].view(shape)) / (s[3].view(shape) + 1e-5).sqrt() * s[0].view(shape) + s[
            1
        ].view(shape)

    x = norm(x.permute(0, 3, 2, 1), "bn0").permute(0, 3, 2, 1)
    for k in range(1, 7):
        for layer in (1, 2):
            kernel = state[f"conv_block{k}.conv{layer}.weight"]
            x = F.conv2d(F.pad(x, (1, 1, 1, 1)), kernel)
            x = norm(x, f"conv_block{k}.bn{layer}").clamp(min=0)
        if k < 6:
            t, f = x.shape[2] // 2 * 2, x.shape[3] // 2 * 2
            x = (x[..., :t:2, :f:2] + x[..., 1:t:2, :f:2] + x[..., :t:2, 1:f:2]
                 + x[..., 1:t:2, 1:f:2]) / 4  # fmt: skip
    x = x.mean(-1)
    x = x.max(-1).values + x.mean(-1)
    features = (x @ state["fc1.weight"].T + state["fc1.bias"]).clamp(min=0)
    return features, features @ state["fc_audioset.weight"].T + state["fc_audioset.bias"]


def test_the_forward_pass_is_the_published_one(monkeypatch):
    # A sixteenth of the channels: the same wiring at 1/200 of the work.
    monkeypatch.setattr(cnn14, "CHANNELS", (4, 8, 16, 32, 64, 128))
    monkeypatch.setattr(cnn14, "N_FEATURES", 128)
    torch.manual_seed(0)
    network = cnn14.Cnn14().eval()
    for name, buffer in network.named_buffers():
        if "running" in name:
            buffer.uniform_(0.5, 2.0)
    x = torch.randn(2, 1, 101, 64)
    with torch.no_grad():
        for ours, expected in zip(network(x), by_hand(network.state_dict(), x), strict=True):
            assert torch.allclose(ours, expected, atol=1e-5, rtol=1e-4)


class TestFiles:
    def test_a_published_file_loads(self, tmp_path):
        embedder = find_embedder(f"cnn14-16k={published_file(tmp_path / 'a.pth', cnn14.MEL_16K)}")
        features, _, longer = heard = embedder.embed([noise(0.5), noise(0.6), noise(0.5, seed=1)])
        (alone,) = embedder.embed([noise(0.5, seed=1)])
        assert longer.logits == pytest.approx(alone.logits, abs=1e-5)
        assert len(heard) == 3
        assert features.windows.shape == (1, 2048)
        assert features.logits.shape == (527,)

    def test_the_file_of_the_other_rate_is_refused(self, tmp_path):
        path = published_file(tmp_path / "a.pth", cnn14.MEL_32K)
        with pytest.raises(ModelError, match="16000 Hz"):
            find_embedder(f"cnn14-16k={path}")

    def test_other_filters_are_refused(self, tmp_path):
        changes = {"logmel_extractor.melW": torch.zeros(257, 64)}
        path = published_file(tmp_path / "a.pth", cnn14.MEL_16K, **changes)
        with pytest.raises(ModelError, match="other mel filters"):
            find_embedder(f"cnn14-16k={path}")

    def test_a_tensor_of_another_shape_is_named(self, tmp_path):
        changes = {"fc1.bias": torch.zeros(3)}
        path = published_file(tmp_path / "a.pth", cnn14.MEL_16K, **changes)
        with pytest.raises(ModelError, match=r"fc1\.bias is \(3,\) instead of \(2048,\)"):
            find_embedder(f"cnn14-16k={path}")
