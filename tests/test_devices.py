"""Where to compute, and in which number format."""

import shutil

import numpy as np
import pytest
import torch

import latentfoley
from latentfoley.checkpoints import layout
from latentfoley.config import SpectralVocoderConfig
from latentfoley.devices import DTYPES, choose_device, choose_dtype
from latentfoley.errors import InputError
from latentfoley.spectral_vocoder import build_vocoder
from micro import write_model_folder
from signals import noise

CPU = torch.device("cpu")
SPECTRAL = SpectralVocoderConfig(kind="spectral", width=16, hidden=32, n_blocks=2)


class TestDevices:
    def test_the_cpu_is_always_there(self):
        assert choose_device("cpu") == CPU

    @pytest.mark.parametrize(
        ("cuda", "mps", "chosen"),
        [(True, False, "cuda"), (False, True, "mps"), (True, True, "cuda"), (False, False, "cpu")],
    )
    def test_the_fastest_is_the_default(self, monkeypatch, cuda, mps, chosen):
        monkeypatch.setattr("torch.cuda.is_available", lambda: cuda)
        monkeypatch.setattr("torch.backends.mps.is_available", lambda: mps)
        assert choose_device(None) == torch.device(chosen)

    @pytest.mark.parametrize("device", ["gpu", "", "cuda:99", "cpu:x"])
    def test_a_device_that_is_none(self, device):
        with pytest.raises(InputError, match=f"device '{device}' cannot be used here: "):
            choose_device(device)


class TestPrecision:
    @pytest.mark.parametrize(
        ("flags", "dtype"),
        [
            (["avx2"], "fp32"),
            (["avx512_bf16"], "bf16"),
            (["amx_bf16"], "bf16"),
            (["avx512_vnni"], "fp32"),
            (["avx512_bf16", "avx512_vnni"], "int8"),
        ],
    )
    def test_auto_is_the_fastest_in_hardware(self, monkeypatch, flags, dtype):
        monkeypatch.setattr("latentfoley.devices.cpu_flags", lambda: flags)
        assert choose_dtype("auto", CPU) == dtype

    @pytest.mark.parametrize(("capability", "dtype"), [((7, 5), "fp32"), ((8, 0), "bf16")])
    def test_auto_on_a_gpu(self, monkeypatch, capability, dtype):
        monkeypatch.setattr("torch.cuda.get_device_capability", lambda device: capability)
        assert choose_dtype("auto", torch.device("cuda:0")) == dtype

    def test_an_unknown_one(self):
        with pytest.raises(InputError, match="dtype 'fp8' is not known; allowed: auto, fp32"):
            choose_dtype("fp8", CPU)

    @pytest.mark.parametrize(
        ("name", "others", "least_db"), [("bf16", torch.bfloat16, 12), ("fp16", torch.float32, 30)]
    )
    def test_what_is_in_half_precision(
        self, micro_model, micro_model_folder, name, others, least_db
    ):
        model = latentfoley.load(micro_model_folder, device="cpu", dtype=name)
        assert dtypes(model.unet) == {DTYPES[choose_dtype(name, CPU)]}
        assert dtypes(model.vae) == dtypes(model.vocoder) == {others}
        assert dtypes(model.text.model) == {torch.float32}
        assert model.identity.dtype == name != micro_model.identity.dtype
        half, full = (
            torch.from_numpy(m.generate("rain", duration_s=0.3, steps=4)[0].waveform)
            for m in (model, micro_model)
        )
        error_db = 10 * torch.log10(full.square().mean() / (half - full).square().mean())
        assert error_db > least_db

    def test_recordings_are_encoded_in_it(self, micro_model, micro_model_folder):
        model = latentfoley.load(micro_model_folder, device="cpu", dtype="bf16")
        half, full = (m.encode(noise(0.5)) for m in (model, micro_model))
        assert half.dtype == torch.float32
        assert 0 < (half - full).abs().max() < 0.05 * full.abs().max()

    @pytest.mark.parametrize(
        ("small", "in_hardware", "dtype"),
        [(1, True, torch.bfloat16), (1, False, torch.float32), (10**4, True, torch.float32)],
    )
    def test_auto_is_the_default_and_leaves_small_networks_in_fp32(
        self, monkeypatch, micro_model_folder, small, in_hardware, dtype
    ):
        monkeypatch.setattr("latentfoley.devices.has_bf16", lambda device: in_hardware)
        monkeypatch.setattr("latentfoley.config.SMALL", small)
        model = latentfoley.load(micro_model_folder, device="cpu")
        assert dtypes(model.unet) == dtypes(model.vae) == dtypes(model.vocoder) == {dtype}

    def test_a_spectral_vocoder_stays_in_fp32(self, tmp_path):
        folder = write_model_folder(tmp_path / "model")
        shutil.rmtree(folder / "vocoder")
        layout.write_vocoder(folder / "vocoder", SPECTRAL, build_vocoder(SPECTRAL).state_dict())
        layout.write_index(folder, "BertTokenizer", vocoder=SPECTRAL)
        model = latentfoley.load(folder, device="cpu", dtype="bf16")
        assert dtypes(model.vae) == {torch.bfloat16}
        assert dtypes(model.vocoder) == {torch.float32}
        assert np.isfinite(model.generate("rain", duration_s=0.2, steps=1)[0].waveform).all()


def dtypes(network):
    return {parameter.dtype for parameter in network.parameters()}
