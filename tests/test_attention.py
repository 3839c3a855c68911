"""Attention is a mean of values, however it is computed."""

import pytest
import torch
import torch.nn.functional as F

from latentfoley import attention
from latentfoley.attention import attend


def heads(length, width=8, dtype=torch.float64, seed=0):
    rng = torch.manual_seed(seed)
    return [torch.randn(2, 3, length, width, generator=rng).to(dtype) for _ in range(3)]


def exact(q, k, v):
    weights = (q.double() @ k.double().transpose(-1, -2) / q.shape[-1] ** 0.5).softmax(-1)
    return weights @ v.double()


@pytest.mark.parametrize("length", [5, 600])
@pytest.mark.parametrize(("dtype", "most"), [(torch.float32, 1e-5), (torch.bfloat16, 0.03)])
def test_it_is_the_formula(length, dtype, most):
    q, k, v = heads(length, dtype=dtype)
    with torch.no_grad():
        made = attend(q, k, v)
    assert made.dtype == dtype
    assert (made.double() - exact(q, k, v)).abs().max() < most


def test_head_by_head_is_the_fused_one(monkeypatch):
    q, k, v = heads(40, dtype=torch.bfloat16)
    fused = attend(q, k, v)
    monkeypatch.setattr(attention, "_MANY", 1)
    with torch.no_grad():
        plain = attend(q, k, v)
    assert torch.allclose(plain, fused, atol=0.02)
    assert not torch.equal(plain, F.scaled_dot_product_attention(q, k, v))  # it took the other way


def test_a_clip_is_the_same_alone_and_in_a_batch():
    q, k, v = heads(600, dtype=torch.bfloat16)
    with torch.no_grad():
        assert torch.equal(attend(q, k, v)[1:], attend(q[1:], k[1:], v[1:]))


@pytest.mark.parametrize("length", [5, 300])
def test_its_gradients_are_those_of_the_formula(length):
    """Few positions go another way in training than many."""
    ours, theirs = heads(length), heads(length)
    for way, given in ((attend, ours), (exact, theirs)):
        way(*(x.requires_grad_() for x in given)).square().sum().backward()
    for one, other in zip(ours, theirs, strict=True):
        assert torch.allclose(one.grad, other.grad, atol=1e-12)


def test_in_training_bf16_has_gradients_too():
    q, k, v = (x.requires_grad_() for x in heads(600, dtype=torch.bfloat16))
    attend(q, k, v).sum().backward()
    assert torch.isfinite(v.grad).all()
