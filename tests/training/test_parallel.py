"""BatchNorm over the global batch, on one process; on two, see `test_processes.py`."""

import pytest
import torch
from torch import nn

from latentfoley.training.parallel import GlobalBatchNorm2d, share_statistics
from weights import normal


@pytest.fixture
def both():
    """Ours and torch's, with the same weights."""
    theirs = nn.BatchNorm2d(5).double()
    with torch.no_grad():
        theirs.weight.copy_(torch.linspace(0.5, 2, 5))
        theirs.bias.copy_(torch.linspace(-1, 1, 5))
    ours = GlobalBatchNorm2d(5).double()
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def test_it_is_batch_norm(both):
    x, seen = 3 * normal(4, 5, 6, 2).double() + 1, normal(4, 5, 6, 2).double()
    for norm in both:
        (norm(x) * seen).sum().backward()
    ours, theirs = both
    for mine, its in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, its.grad)
    for name, buffer in theirs.named_buffers():
        torch.testing.assert_close(ours.get_buffer(name), buffer)
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x))


@pytest.mark.parametrize("transposed", [True, False])
def test_gradients_do_not_depend_on_how_the_input_lies_in_memory(both, transposed):
    """The tower hands over (B, 1, T, F) as (B, F, T, 1), which torch takes for channels last."""
    frames, seen = normal(4, 1, 6, 5).double().transpose(1, 3), normal(4, 5, 6, 1).double()
    ours, _ = both
    x = frames if transposed else frames.contiguous()
    (ours(x) * seen).sum().backward()
    normed = (frames - frames.mean((0, 2, 3), keepdim=True)) / (
        frames.var((0, 2, 3), keepdim=True, unbiased=False) + ours.eps
    ).sqrt()
    torch.testing.assert_close(ours.bias.grad, seen.sum((0, 2, 3)))
    torch.testing.assert_close(ours.weight.grad, (normed * seen).sum((0, 2, 3)))


def test_every_batch_norm_of_a_model_is_replaced():
    model = nn.Sequential(nn.Conv2d(1, 5, 3), nn.Sequential(nn.BatchNorm2d(5)), nn.BatchNorm2d(2))
    before = model.state_dict()
    share_statistics(model)
    assert [type(m) for m in model.modules() if isinstance(m, nn.BatchNorm2d)] == [
        GlobalBatchNorm2d
    ] * 2
    assert model.state_dict().keys() == before.keys()
