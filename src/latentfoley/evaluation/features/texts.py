"""Captions → rows of an embedder that knows words: each text once, and then from the cache."""

from collections.abc import Sequence
from hashlib import sha256

import numpy as np

from latentfoley.evaluation.embedders import TextEmbedder
from latentfoley.evaluation.features.cache import Cache, cache_key
from latentfoley.evaluation.metrics.score import Rows

_AT_ONCE = 64  # texts in a batch, which is as wide as its longest


def embed_texts(texts: Sequence[str], embedder: TextEmbedder, cache: Cache) -> Rows:
    """Return one row per text."""
    keys = {text: _key(text, embedder) for text in texts}
    found = {text: cache.get(key) for text, key in keys.items()}
    rows = {text: known["text"] for text, known in found.items() if known}
    missing = sorted((text for text in keys if text not in rows), key=len)
    for start in range(0, len(missing), _AT_ONCE):
        some = missing[start : start + _AT_ONCE]
        for text, row in zip(some, embedder.embed_texts(some), strict=True):
            cache.put(keys[text], {"text": row})
            rows[text] = row
    return np.stack([rows[text] for text in texts])


def _key(text: str, embedder: TextEmbedder) -> str:
    content = sha256(text.encode()).hexdigest()
    return cache_key(content, embedder.name, embedder.weights_hash, {"of": "text"})
