"""Where to compute, and in which number format."""

import pytest
import torch

import latentfoley
from latentfoley.devices import choose_device, choose_dtype
from latentfoley.errors import InputError

CPU = torch.device("cpu")


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
            (["avx2"], torch.float32),
            (["avx512_bf16"], torch.bfloat16),
            (["amx_bf16"], torch.bfloat16),
        ],
    )
    def test_auto_is_bf16_where_it_is_in_hardware(self, monkeypatch, flags, dtype):
        monkeypatch.setattr("latentfoley.devices.cpu_flags", lambda: flags)
        assert choose_dtype("auto", CPU) is dtype

    @pytest.mark.parametrize(("capability", "dtype"), [((7, 5), "float32"), ((8, 0), "bfloat16")])
    def test_auto_on_a_gpu(self, monkeypatch, capability, dtype):
        monkeypatch.setattr("torch.cuda.get_device_capability", lambda device: capability)
        assert choose_dtype("auto", torch.device("cuda:0")) is getattr(torch, dtype)

    def test_an_unknown_one(self):
        with pytest.raises(InputError, match="dtype 'fp8' is not known; allowed: auto, fp32"):
            choose_dtype("fp8", CPU)

    @pytest.mark.parametrize(("name", "least_db"), [("bf16", 15), ("fp16", 30)])
    def test_the_denoiser_alone_is_in_half_precision(
        self, micro_model, micro_model_folder, name, least_db
    ):
        model = latentfoley.load(micro_model_folder, device="cpu", dtype=name)
        assert {p.dtype for p in model.unet.parameters()} == {choose_dtype(name, CPU)}
        others = (model.vae, model.vocoder, model.text.model)
        assert {p.dtype for m in others for p in m.parameters()} == {torch.float32}
        half, full = (
            torch.from_numpy(m.generate("rain", duration_s=0.3, steps=4)[0].waveform)
            for m in (model, micro_model)
        )
        error_db = 10 * torch.log10(full.square().mean() / (half - full).square().mean())
        assert error_db > least_db

    def test_fp32_is_the_default(self, micro_model):
        assert {p.dtype for p in micro_model.unet.parameters()} == {torch.float32}
