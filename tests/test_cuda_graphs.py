"""Captured networks give what the network gives; on a CPU, where a list of calls is the graph."""

import threading

import pytest
import torch

from latentfoley.cuda_graphs import Captured, capture_cuda_graph
from latentfoley.unet import Unet
from micro import UNET
from weights import normal


class Capturer:
    """Captures as a CUDA graph does: one place for inputs, one for the output."""

    def __init__(self):
        self.shapes = []

    def __call__(self, function, inputs):
        self.shapes.append(inputs[0].shape)
        own = [tensor.clone() for tensor in inputs]
        output = function(*own)

        def replay(*given):
            for place, tensor in zip(own, given, strict=True):
                place.copy_(tensor)
            output.copy_(function(*own))
            return output.clone()

        return replay


@pytest.fixture
def unet():
    torch.manual_seed(0)
    return Unet(UNET).eval()


def inputs(seed, n_frames=16):
    n = torch.tensor([float(seed), 500.0])
    z_n = normal(2, UNET.latent_channels, n_frames, 4, seed=seed)
    return z_n, n, normal(2, UNET.embedding_dim, seed=seed + 9)


@torch.no_grad()
def test_it_is_the_network_for_any_shapes_in_any_order(unet):
    capturer = Capturer()
    captured = Captured(unet, capturer)
    for seed, n_frames in enumerate((16, 8, 16, 16, 8)):
        given = inputs(seed, n_frames)
        assert torch.equal(captured(*given), unet(*given))
    assert [shape[2] for shape in capturer.shapes] == [16, 8]


@torch.no_grad()
def test_what_was_returned_is_not_written_over(unet):
    captured = Captured(unet, Capturer())
    first = captured(*inputs(1))
    kept = first.clone()
    captured(*inputs(2))
    assert torch.equal(first, kept)


@torch.no_grad()
def test_of_many_shapes_the_last_four_are_kept(unet):
    capturer = Capturer()
    captured = Captured(unet, capturer)
    for n_frames in (4, 8, 12, 16, 4, 20, 4, 8):  # 20 drives out 8, the longest unused
        captured(*inputs(0, n_frames))
    assert [shape[2] for shape in capturer.shapes] == [4, 8, 12, 16, 20, 8]


@torch.no_grad()
def test_threads_take_turns(unet):
    captured = Captured(unet, Capturer())
    made = {}

    @torch.no_grad()
    def work(seed):
        made[seed] = [captured(*inputs(seed)) for _ in range(5)]

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed, some in made.items():
        assert all(torch.equal(one, unet(*inputs(seed))) for one in some)


def test_gradients_go_through_the_network_itself(unet):
    capturer = Capturer()
    z, n, E = inputs(0)
    Captured(unet, capturer)(z.requires_grad_(), n, E).sum().backward()
    assert z.grad.any()
    assert capturer.shapes == []


@torch.no_grad()
def test_what_cannot_be_captured_is_computed_as_it_is(unet):
    def refuse(function, inputs):
        raise RuntimeError("operation not permitted when stream is capturing\nat …")

    captured = Captured(unet, refuse)
    with pytest.warns(UserWarning, match="without a CUDA graph: operation not permitted when"):
        made = captured(*inputs(3))
    assert torch.equal(made, unet(*inputs(3)))
    assert torch.equal(captured(*inputs(4)), unet(*inputs(4)))  # said once


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@torch.no_grad()
def test_a_cuda_graph_gives_the_bits_of_the_network(unet):
    unet.cuda()
    captured = Captured(unet, capture_cuda_graph)
    for seed in range(3):
        given = [tensor.cuda() for tensor in inputs(seed)]
        assert torch.equal(captured(*given), unet(*given))
