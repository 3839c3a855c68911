"""softmax(q kᵀ / √d) v over all positions of a feature map   [Vaswani et al. 2017, eq. 1].

torch's fused attention never writes the L² products down, which saves memory traffic. In bf16 on a
CPU that traffic stays in the cache, head by head, and three plain calls are faster where there are
many positions; see docs/decisions/0133.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

Heads = Float[Tensor, "B H L D"]

_MANY = 512  # positions from which on plain products win in bf16


def attend(q: Heads, k: Heads, v: Heads) -> Heads:
    """Return every position's mean of `v`, weighted by how near its `q` is to each `k`."""
    plain = q.dtype == torch.bfloat16 and q.device.type == "cpu" and not torch.is_grad_enabled()
    if plain and q.shape[2] >= _MANY:
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
