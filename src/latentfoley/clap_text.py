"""Tokens → E before it is normalised: CLAP's text tower, a RoBERTa and a projection.

Every layer attends to all tokens, then transforms each; a LayerNorm follows either sum (Liu et al.
2019, arXiv 1907.11692). The first token's vector is pooled and projected to E. Parameter names are
those of transformers' `ClapTextModelWithProjection`, whose outputs these are to the bit; importing
that library takes longer than generating a clip. See docs/decisions/0125.

Reading path: `clap.py` hands it tokens. It has no dropout: what is trained of CLAP's text side is
trained by `training/clap.py`.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Annotated, Literal, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

_Size = Annotated[int, Field(gt=0)]
_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"gelu": F.gelu, "relu": F.relu}
_Activation = Literal["gelu", "relu"]
Hidden = Float[Tensor, "B L C"]


class TextConfig(BaseModel):
    """What a `config.json` of transformers says of the tower; other keys say nothing about it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    vocab_size: _Size = 50_265
    hidden_size: _Size = 768
    num_hidden_layers: _Size = 12
    num_attention_heads: _Size = 12
    intermediate_size: _Size = 3072
    hidden_act: _Activation = "gelu"
    max_position_embeddings: _Size = 514
    type_vocab_size: _Size = 1
    layer_norm_eps: float = Field(default=1e-12, gt=0)
    pad_token_id: int = Field(default=1, ge=0)
    projection_dim: _Size = 512
    projection_hidden_act: _Activation = "relu"

    @model_validator(mode="after")
    def _require_heads(self) -> "TextConfig":
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"hidden_size {self.hidden_size} is no multiple of num_attention_heads "
                f"{self.num_attention_heads}"
            )
        return self


class TextOutput(NamedTuple):
    """E before it is normalised, and the vector of every token."""

    text_embeds: Float[Tensor, "B D"]
    last_hidden_state: Hidden


class TextNetwork(nn.Module):
    """The tower with its projection."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.config = config
        self.text_model = TextModel(config)
        self.text_projection = Projection(config)

    def forward(
        self, input_ids: Int[Tensor, "B L"], attention_mask: Int[Tensor, "B L"]
    ) -> TextOutput:
        """Return the outputs for token ids; the mask is 0 where a text is over."""
        hidden = self.text_model(input_ids, attention_mask.bool())
        first_token = self.text_model.pooler(hidden[:, 0])
        return TextOutput(self.text_projection(first_token), hidden)


class TextModel(nn.Module):
    """Embeddings, layers, and the pooler of the first token."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.embeddings = Embeddings(config)
        self.encoder = Encoder(config)
        size = config.hidden_size
        self.pooler = nn.Sequential(OrderedDict(dense=nn.Linear(size, size), activation=nn.Tanh()))

    def forward(self, ids: Int[Tensor, "B L"], mask: Bool[Tensor, "B L"]) -> Hidden:
        seen = None if mask.all() else mask[:, None, None, :]
        out: Tensor = self.encoder(self.embeddings(ids), seen)
        return out


class Encoder(nn.Module):
    """One layer after another."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.layer = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))

    def forward(self, hidden: Hidden, seen: Bool[Tensor, "B 1 1 L"] | None) -> Hidden:
        for layer in self.layer:
            hidden = layer(hidden, seen)
        return hidden


class Embeddings(nn.Module):
    """The sum of a token's, its position's and its segment's vectors, normalised."""

    position_ids: Tensor
    token_type_ids: Tensor

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        size, positions = config.hidden_size, config.max_position_embeddings
        self.word_embeddings = _embedding(config.vocab_size, size)
        self.token_type_embeddings = _embedding(config.type_vocab_size, size)
        self.LayerNorm = nn.LayerNorm(size, config.layer_norm_eps)
        # The published files hold these two. On the CPU for the same reason as `_embedding`.
        numbers = torch.arange(positions, device="cpu")[None]
        self.register_buffer("position_ids", numbers)
        self.register_buffer("token_type_ids", torch.zeros_like(numbers))
        self.position_embeddings = _embedding(positions, size)
        self.padding = config.pad_token_id

    def forward(self, ids: Int[Tensor, "B L"]) -> Hidden:
        words = (ids != self.padding).int()
        places = (words.cumsum(dim=1) * words).long() + self.padding  # counted from padding + 1
        tokens = self.word_embeddings(ids) + self.token_type_embeddings.weight[0]
        out: Tensor = self.LayerNorm(tokens + self.position_embeddings(places))
        return out


def _embedding(count: int, size: int) -> nn.Embedding:
    # Drawn normally, on the device without storage that loading uses, torch would import its
    # compiler for two seconds.
    return nn.Embedding(count, size, _weight=torch.empty(count, size).uniform_(-1, 1))


class Layer(nn.Module):
    """Attention over all tokens, then a perceptron on each; a normalised sum after both."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        size, inner = config.hidden_size, config.intermediate_size
        self.attention = nn.ModuleDict({"self": Attention(config), "output": Sum(size, config)})
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(size, inner)})
        self.output = Sum(inner, config)
        self.activation = _ACTIVATIONS[config.hidden_act]

    def forward(self, hidden: Hidden, seen: Bool[Tensor, "B 1 1 L"] | None) -> Hidden:
        hidden = self.attention["output"](self.attention["self"](hidden, seen), hidden)
        out: Tensor = self.output(self.activation(self.intermediate["dense"](hidden)), hidden)
        return out


class Attention(nn.Module):
    """Multi-head self-attention, without the projection of its output."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        size = config.hidden_size
        self.heads = config.num_attention_heads
        self.query, self.key, self.value = (nn.Linear(size, size) for _ in range(3))

    def forward(self, hidden: Hidden, seen: Bool[Tensor, "B 1 1 L"] | None) -> Hidden:
        q, k, v = (
            projection(hidden).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for projection in (self.query, self.key, self.value)
        )  # each (B, H, L, C/H)
        # Not the fused attention, whose last digits are others.
        scores = q @ k.transpose(2, 3) * q.shape[-1] ** -0.5
        if seen is not None:
            scores = scores.masked_fill(~seen, torch.finfo(scores.dtype).min)
        out: Tensor = (scores.softmax(dim=-1) @ v).transpose(1, 2).flatten(2)
        return out


class Sum(nn.Module):
    """Project, add what was there before, normalise."""

    def __init__(self, inner: int, config: TextConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(inner, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)

    def forward(self, inner: Float[Tensor, "B L D"], before: Hidden) -> Hidden:
        out: Tensor = self.LayerNorm(self.dense(inner) + before)
        return out


class Projection(nn.Module):
    """The perceptron from the pooled vector to E."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.linear1 = nn.Linear(config.hidden_size, config.projection_dim)
        self.linear2 = nn.Linear(config.projection_dim, config.projection_dim)
        self.activation = _ACTIVATIONS[config.projection_hidden_act]

    def forward(self, pooled: Float[Tensor, "B C"]) -> Float[Tensor, "B D"]:
        out: Tensor = self.linear2(self.activation(self.linear1(pooled)))
        return out
