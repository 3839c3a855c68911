"""VGGish: key list and shapes of the published file, an independent forward and front end."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from latentfoley.errors import ModelError
from latentfoley.evaluation.embedders import find_embedder, vggish
from signals import noise, tone

CONVOLUTIONS = {0: (64, 1), 3: (128, 64), 6: (256, 128), 8: (256, 256), 11: (512, 256),
                13: (512, 512)}  # fmt: skip
LINEAR = {0: (4096, 12_288), 2: (4096, 4096), 4: (128, 4096)}
PUBLISHED = {f"features.{k}.weight": (*shape, 3, 3) for k, shape in CONVOLUTIONS.items()}
PUBLISHED |= {f"features.{k}.bias": shape[:1] for k, shape in CONVOLUTIONS.items()}
PUBLISHED |= {f"embeddings.{k}.weight": shape for k, shape in LINEAR.items()}
PUBLISHED |= {f"embeddings.{k}.bias": shape[:1] for k, shape in LINEAR.items()}


def test_keys_and_shapes_are_those_of_the_file():
    with torch.device("meta"):
        ours = {key: tuple(v.shape) for key, v in vggish.Vggish().state_dict().items()}
    assert ours == PUBLISHED


def test_the_forward_pass_is_the_published_one():
    torch.manual_seed(0)
    network = vggish.Vggish().eval()
    s, x = network.state_dict(), torch.randn(1, 1, 96, 64)
    with torch.no_grad():
        y = x
        for k in CONVOLUTIONS:
            y = F.conv2d(y, s[f"features.{k}.weight"], s[f"features.{k}.bias"], padding=1).relu()
            if k not in (6, 11):
                y = y.unflatten(2, (-1, 2)).unflatten(4, (-1, 2)).amax(dim=(3, 5))
        y = torch.stack([y[:, :, t, f] for t in range(6) for f in range(4)], dim=1).flatten(1)
        for k in LINEAR:
            y = y @ s[f"embeddings.{k}.weight"].T + s[f"embeddings.{k}.bias"]
            y = y.relu() if k < 4 else y
        assert torch.allclose(network(x), y, atol=1e-6)


class TestFrontEnd:
    def test_patches_do_not_overlap_and_the_rest_is_dropped(self):
        assert vggish.patches(torch.from_numpy(noise(1.0))).shape == (1, 1, 96, 64)
        assert vggish.patches(torch.zeros(vggish.MIN_SAMPLES - 1)).shape[0] == 0
        assert vggish.patches(torch.zeros(10 * 16_000)).shape[0] == 10  # 998 frames

    def test_silence_is_the_offset(self):
        assert vggish.patches(torch.zeros(16_000)) == pytest.approx(np.log(0.01))

    def test_a_frame_by_hand(self):
        sound = noise(1.0)
        frame = sound[160 * 7 : 160 * 7 + 400].astype(np.float64)
        window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
        spectrum = np.abs(np.fft.rfft(frame * window, 512))
        hz = np.arange(257) * 16_000 / 512
        mel = 1127 * np.log(1 + hz / 700)
        edges = 1127 * np.log(1 + np.array([125.0, 7500.0]) / 700)
        corners = np.linspace(*edges, 66)
        triangle = np.interp(mel, corners[20:23], [0, 1, 0])
        ours = vggish.patches(torch.from_numpy(sound))[0, 0, 7, 20]
        assert float(ours) == pytest.approx(np.log(triangle @ spectrum + 0.01), abs=1e-5)

    def test_a_tone_is_loudest_in_its_band(self):
        band = vggish.patches(torch.from_numpy(tone(1000.0)))[0, 0].mean(dim=0).argmax()
        corners = np.linspace(*(1127 * np.log(1 + np.array([125.0, 7500.0]) / 700)), 66)
        assert abs(1127 * np.log(1 + 1000 / 700) - corners[band + 1]) < corners[1] - corners[0]


class TestFiles:
    def test_the_published_layout_loads(self, tmp_path):
        torch.save({k: torch.zeros(1).expand(s) for k, s in PUBLISHED.items()}, tmp_path / "v.pth")
        embedder = find_embedder(f"vggish={tmp_path / 'v.pth'}")
        assert embedder.pooled
        heard = embedder.embed([noise(2.0), noise(1.0)])
        assert [features.windows.shape for features in heard] == [(2, 128), (1, 128)]

    def test_a_missing_tensor_is_named(self, tmp_path):
        state = {
            k: torch.zeros(1).expand(s) for k, s in PUBLISHED.items() if k != "features.0.bias"
        }
        torch.save(state, tmp_path / "v.pth")
        with pytest.raises(ModelError, match=r"lacks features\.0\.bias"):
            find_embedder(f"vggish={tmp_path / 'v.pth'}")

    def test_code_in_a_file_is_not_run(self, tmp_path):
        class Trap:
            def __reduce__(self):
                return (print, ("ran",))

        torch.save({"model": Trap()}, tmp_path / "v.pth")
        with pytest.raises(ModelError, match="cannot be read"):
            find_embedder(f"vggish={tmp_path / 'v.pth'}")
