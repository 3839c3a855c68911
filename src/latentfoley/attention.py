"""softmax(q kᵀ / √d) v over all positions of a feature map   [Vaswani et al. 2017, eq. 1].

torch's fused attention never writes the L² products down, which saves memory traffic. On a CPU
plain products are faster in two cases: in training where there are few positions, since its
backward pass is slow; and in bf16 where there are many, head by head, since the traffic then stays
in the cache. See docs/decisions/0133.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

Heads = Float[Tensor, "B H L D"]

_FEW = 256  # positions up to which plain products win in training; with 1,024 they lose
_MANY = 512  # positions from which on they win in bf16


def attend(q: Heads, k: Heads, v: Heads) -> Heads:
    """Return every position's mean of `v`, weighted by how near its `q` is to each `k`."""
    on_cpu, training, length = q.device.type == "cpu", torch.is_grad_enabled(), q.shape[2]
    if on_cpu and training and length <= _FEW:
        weights = (q * q.shape[3] ** -0.5 @ k.transpose(2, 3)).softmax(dim=-1)
        return torch.matmul(weights, v)
    if on_cpu and not training and length >= _MANY and q.dtype == torch.bfloat16:
        return _head_by_head(q, k, v)
    return F.scaled_dot_product_attention(q, k, v)


def _head_by_head(q: Heads, k: Heads, v: Heads) -> Heads:
    """Return the same by plain products; sums of the softmax are in fp32."""
    batch, n_heads, length, width = q.shape
    q = q * width**-0.5
    products, weights = (q.new_empty(length, length) for _ in range(2))
    out = q.new_empty(batch, length, n_heads, width)
    for b in range(batch):
        for h in range(n_heads):
            torch.mm(q[b, h], k[b, h].T, out=products)
            torch.softmax(products, dim=-1, out=weights)
            out[b, :, h] = weights @ v[b, h]
    return out.transpose(1, 2)
