"""Layers in 8-bit integers are the layers they stand for, within half a step of every number."""

import pytest
import torch
from torch import nn

import latentfoley
from latentfoley.blocks import ResnetBlock
from latentfoley.config import UnetConfig
from latentfoley.devices import choose_dtype, has_int8
from latentfoley.errors import InputError
from latentfoley.int8 import Int8Attention, Int8Conv2d, Int8Linear, quantised, with_int8
from latentfoley.unet import Attention, Unet

CPU = torch.device("cpu")
in_hardware = pytest.mark.skipif(not has_int8(CPU), reason="no products of 8 bits")


def bf16(*shape, seed=0):
    return torch.randn(*shape, generator=torch.manual_seed(seed)).bfloat16()


def error(made, exact):
    """Return the standard deviation of an error beside that of what is right."""
    return float((made.float() - exact.float()).std() / exact.float().std())


class TestNumbers:
    @pytest.mark.parametrize("offset", [-3.0, 0.0, 40.0])
    def test_each_is_within_a_step(self, offset):
        x = bf16(200) + offset
        q, scale, zero = quantised(x)
        # Half a step by rounding, and as much by what bf16 holds of the largest.
        assert (scale * (q.float() - zero) - x.float()).abs().max() <= 1.01 * scale

    def test_zero_is_exact(self):
        x = bf16(50)
        x[::2] = 0
        q, _, zero = quantised(x)
        assert (q[::2] == zero).all()

    def test_all_zeros_stay_zeros(self):
        q, scale, zero = quantised(torch.zeros(5, dtype=torch.bfloat16))
        assert scale > 0
        assert (q == zero).all()

    @pytest.mark.parametrize("seed", range(20))
    def test_no_end_wraps_around(self, seed):
        x = (seed + 1) * bf16(500, seed=seed) + seed - 10
        q, _, _ = quantised(x)
        order = x.argsort()
        assert (q[order].int().diff() >= -1).all()  # torch rounds its last few numbers otherwise

    def test_the_ends_are_there(self):
        q, _, _ = quantised(torch.tensor([-1.0, 0.0, 3.0], dtype=torch.bfloat16))
        assert q.tolist() == [0, 63, 253]


@in_hardware
@torch.no_grad()
class TestLayers:
    @pytest.mark.parametrize(("stride", "size"), [(1, 8), (2, 9)])
    @pytest.mark.parametrize("bias", [True, False])
    def test_convolution(self, stride, size, bias):
        conv = nn.Conv2d(64, 96, 3, stride=stride, padding=1, bias=bias).bfloat16()
        x = bf16(2, 64, size, 6)
        made = Int8Conv2d(conv)(x)
        assert made.dtype == torch.bfloat16
        assert made.shape == conv(x).shape
        assert error(made, conv.float()(x.float())) < 0.02

    def test_linear(self):
        linear = nn.Linear(48, 80).bfloat16()
        x = bf16(2, 7, 48)
        made = Int8Linear(linear.weight, linear.bias)(x)
        assert error(made, linear.float()(x.float())) < 0.02

    def test_attention(self):
        attention, x = Attention(64, 4).bfloat16(), bf16(2, 9, 64)
        exact = attention(x)
        assert error(Int8Attention(attention)(x), exact) < 0.05

    def test_a_kernel_of_one_loud_channel_leaves_the_others_their_digits(self):
        conv = nn.Conv2d(64, 64, 3, padding=1)
        conv.weight[0] *= 1000
        x = bf16(1, 64, 6, 6)
        exact = conv(x.float())
        made = Int8Conv2d(conv.bfloat16())(x)
        assert error(made[:, 1:], exact[:, 1:]) < 0.03

    def test_heavy_layers_of_a_network_are_exchanged_and_no_others(self):
        unet = Unet(UnetConfig(block_channels=(64, 64), heads=(4, 4), norm_groups=8)).bfloat16()
        z, n = bf16(2, 8, 8, 16), torch.tensor([10.0, 700.0])
        E = nn.functional.normalize(bf16(2, 512).float(), dim=1).bfloat16()
        exact = unet(z, n, E)
        exchanged = with_int8(unet)
        assert error(exchanged(z, n, E), exact) < 0.06
        assert type(unet.conv_in) is type(unet.conv_out) is nn.Conv2d
        for block in unet.modules():
            if isinstance(block, ResnetBlock):
                assert type(block.conv1) is type(block.conv2) is Int8Conv2d
        assert not any(isinstance(block, Attention) for block in unet.modules())


@in_hardware
def test_a_model_in_it_says_so(micro_model_folder, micro_model):
    model = latentfoley.load(micro_model_folder, device="cpu", dtype="int8")
    (clip,) = model.generate("rain", duration_s=0.2, steps=2)
    assert clip.provenance.dtype == model.identity.dtype == "int8"
    assert clip.waveform.shape == micro_model.generate("rain", duration_s=0.2)[0].waveform.shape


@pytest.mark.parametrize("flags", [["avx2"], ["avx512_bf16"], ["avx512_vnni"]])
def test_it_is_refused_where_the_hardware_has_none(monkeypatch, flags):
    monkeypatch.setattr("latentfoley.devices.cpu_flags", lambda: flags)
    with pytest.raises(InputError, match="needs a CPU with VNNI"):
        choose_dtype("int8", CPU)
    with pytest.raises(InputError, match="needs a CPU with VNNI"):
        choose_dtype("int8", torch.device("meta"))
