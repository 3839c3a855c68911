"""The cache of features: keys say what they were computed from, never where the file lies."""

import json
from hashlib import sha256
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from latentfoley.encoding import write_atomically

Arrays = dict[str, np.ndarray]

_VERSION = 1  # to be raised when the same embedder begins to compute other features


class Cache:
    """A folder of small files named by their key; `None` keeps nothing."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    def get(self, key: str) -> Arrays | None:
        """Return the arrays under a key; None where there are none, or the file is damaged."""
        if self.folder is None:
            return None
        try:
            return load(self._path(key).read_bytes())
        except (OSError, SafetensorError):
            return None

    def put(self, key: str, arrays: Arrays) -> None:
        """Keep arrays under a key; a cache that cannot be written to is no error."""
        if self.folder is None:
            return
        # `save` takes the bytes as they lie: columns first would come back in another order.
        rows_first = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        try:
            write_atomically(self._path(key), save(rows_first))
        except OSError:
            self.folder = None

    def _path(self, key: str) -> Path:
        assert self.folder is not None
        return self.folder / key[:2] / f"{key}.safetensors"


def cache_key(content: str, what: str, weights_hash: str, rules: dict[str, str | int]) -> str:
    """Return the key of one file's features: its content, the embedder and the preprocessing.

    Example:
        >>> cache_key("a", "clap", "b", {}) == cache_key("a", "clap", "c", {})
        False
    """
    record = [_VERSION, content, what, weights_hash, sorted(rules.items())]
    return sha256(json.dumps(record).encode()).hexdigest()


def content_hash(path: Path) -> str:
    """Return the SHA-256 of the bytes of a file, hexadecimal."""
    with path.open("rb") as file:
        digest = sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
