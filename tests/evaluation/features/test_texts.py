"""Captions through an embedder: each text once, in the order that was asked, and from the cache."""

import numpy as np

from latentfoley.evaluation.features.cache import Cache
from latentfoley.evaluation.features.texts import embed_texts

TEXTS = ["a dog", "rain", "a dog", "thunder far away"]


class Reader:
    """Rows that say which text they are of; counts what it reads."""

    name, weights_hash = "reader", "r" * 64

    def __init__(self):
        self.read = []

    def embed_texts(self, texts):
        self.read += texts
        return np.array([[len(text), ord(text[0])] for text in texts], dtype=np.float64)


def test_rows_are_in_order_and_each_text_is_read_once(tmp_path):
    reader = Reader()
    rows = embed_texts(TEXTS, reader, Cache(tmp_path))
    assert rows.tolist() == [[5, 97], [4, 114], [5, 97], [16, 116]]
    assert sorted(reader.read) == sorted(set(TEXTS))


def test_what_was_read_is_kept_for_these_weights_alone(tmp_path):
    first = embed_texts(TEXTS, Reader(), Cache(tmp_path))
    again, other = Reader(), Reader()
    other.weights_hash = "s" * 64
    assert np.array_equal(embed_texts([*TEXTS, "wind"], again, Cache(tmp_path))[:4], first)
    assert again.read == ["wind"]
    embed_texts(TEXTS, other, Cache(tmp_path))
    assert len(other.read) == 3


def test_many_texts_are_read_in_batches():
    texts = [f"sound {k}" for k in range(150)]
    rows = embed_texts(texts, Reader(), Cache(None))
    assert rows[:, 0].tolist() == [len(text) for text in texts]
