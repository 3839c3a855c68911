"""What a model makes of a data set, kept on disk and read at random.

    cache.json                    what made it, and how much there is
    latents-000000-000.safetensors …   windows: log_mel, mean, std, E, held_out, start_s
    records/                      what each shard was encoded from, and hashes of its windows

A cache knows the identity of the encoder that made it (`encoder.py`); one that another encoder made
is refused, and so is one of which a file is missing or damaged. Every file is hashed when a cache
is opened for the first time in a process: 0.7 s of CPU a GB. Reading keeps an index of eight bytes
a window in memory and a hash for each file.

It does not know how windows are made (`encode.py`) or what is learnt from them.
"""

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Int32
from safetensors import SafetensorError, safe_open
from torch import Tensor

from latentfoley.config import Config
from latentfoley.data.encoder import Encoder, Identity
from latentfoley.data.latent_files import damaged, require_count, require_written
from latentfoley.data.variations import Augmentation
from latentfoley.errors import RecipeError, nearest, nearest_files

MARKER, METADATA = "cache.json", "latentfoley"
FIELDS = ("log_mel", "mean", "std", "E", "held_out", "start_s")

_OPEN_FILES = 32


class CacheSettings(Identity, Augmentation):
    """What a cache depends on: the encoder, its windows, and the folder of the shards: absolute, or
    relative to the cache."""

    shards: str


class CacheInfo(Config):
    """What `cache.json` says; the counts are there when `complete` is.

    Attributes:
        settings: what the windows depend on.
        complete: whether every shard has been encoded.
        n_clips, n_windows, n_held_out: how many there are; held out are counted among the windows.
        n_silent: silent windows, which were left out.
    """

    settings: CacheSettings
    complete: bool = False
    n_clips: int = 0
    n_windows: int = 0
    n_held_out: int = 0
    n_silent: int = 0


def read_info(folder: Path) -> CacheInfo:
    """Return what a cache says about itself.

    Raises:
        RecipeError: the folder holds no cache, or one that is damaged or not finished.
    """
    path = folder / MARKER
    if not path.is_file():
        hint = nearest_files(folder) if not folder.exists() else ""
        raise RecipeError(
            f"'{folder}' holds no {MARKER}: give a folder that `latentfoley data encode` has "
            f"written.{hint}"
        )
    try:
        info = CacheInfo.parse(json.loads(path.read_text(encoding="utf-8")), where=str(path))
    except (ValueError, OSError) as error:
        raise RecipeError(f"{path} cannot be read ({error})") from None
    if not info.complete:
        raise RecipeError(
            f"'{folder}' is not finished: run the same `latentfoley data encode` again to go on"
        )
    return info


def require_made_by(folder: Path, made: Identity, now: Identity) -> None:
    """Refuse a cache of another encoder.

    Raises:
        RecipeError: names the parts that differ.
    """
    other = [name for name in Identity.model_fields if getattr(made, name) != getattr(now, name)]
    if other:
        told = "; ".join(f"{k} was {getattr(made, k)}, now {getattr(now, k)}" for k in other)
        raise RecipeError(
            f"the cache '{folder}' is stale: {told}. Make another with `latentfoley data encode`, "
            f"or use the model that made it"
        )


class LatentCache:
    """Windows at random, without loading more than is asked for.

    Example:
        cache = LatentCache(Path("latents"), "train")
        batch = cache.batch([3, 1, 4], ("mean", "std", "E"))
    """

    def __init__(
        self,
        folder: Path,
        split: Literal["train", "valid"] | None = None,
        *,
        encoder: Encoder | None = None,
    ) -> None:
        """Open a cache.

        Args:
            folder: where `latentfoley data encode` has written.
            split: only what is trained on, or only what is held out; None is both.
            encoder: that of the model in use; a cache of another one is refused.

        Raises:
            RecipeError: no cache, one that is damaged, unfinished, stale or not whole, or an empty
                split.
        """
        self.folder, self.info = folder, read_info(folder)
        if encoder is not None:
            require_made_by(folder, self.info.settings, encoder.identity)
        self._files = require_written(folder)
        self._open = lru_cache(maxsize=_OPEN_FILES)(_open)
        self._about = lru_cache(maxsize=_OPEN_FILES)(self._read_about)
        self._places = self._index(split)
        if not len(self._places):
            raise RecipeError(f"'{folder}' has no windows in split '{split or 'train or valid'}'")

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, item: int) -> dict[str, Tensor]:
        """Return every field of one window, as stored; see `Encoder.encode`."""
        return {name: field[0] for name, field in self.batch([item], FIELDS).items()}

    def batch(
        self, items: Sequence[int], names: Sequence[str] = ("mean", "std", "E")
    ) -> dict[str, Tensor]:
        """Return fields of some windows, stacked in the order asked for, as stored (fp16).

        Raises:
            RecipeError: an unknown field.
        """
        unknown = [name for name in names if name not in FIELDS]
        if unknown:
            raise RecipeError(f"a cache has no '{unknown[0]}'; {nearest(unknown[0], FIELDS)}")
        places = [self._places[item] for item in items]
        return {
            name: torch.stack([self._file(file).get_slice(name)[int(row)] for file, row in places])
            for name in names
        }

    def key(self, item: int) -> str:
        """Return the key of the clip that a window was cut from."""
        file, row = self._places[item]
        key: str = self._about(int(file))["keys"][row]
        return key

    def captions(self, item: int) -> tuple[str, ...]:
        """Return what was said of the clip that a window was cut from; often nothing."""
        file, row = self._places[item]
        return tuple(self._about(int(file))["captions"][row])

    def _read_about(self, number: int) -> dict[str, Any]:
        """Return what a file says in words of its windows: keys and captions."""
        about: dict[str, Any] = json.loads(self._file(number).metadata()[METADATA])
        return about

    def _file(self, number: int) -> Any:
        return self._open(self._files[number])

    def _index(self, split: str | None) -> Int32[np.ndarray, "W 2"]:
        """Return (file, row) of every window of a split."""
        places, n_windows = [np.zeros((0, 2), np.int32)], 0
        for number, path in enumerate(self._files):
            with _open(path) as file:
                held_out = file.get_tensor("held_out").numpy()  # (W,)
            wanted = np.ones_like(held_out) if split is None else held_out == (split == "valid")
            rows = np.flatnonzero(wanted).astype(np.int32)
            places.append(np.stack([np.full_like(rows, number), rows], axis=1))
            n_windows += len(held_out)
        require_count(self.folder, self.info.n_windows, n_windows)
        return np.concatenate(places)


def _open(path: Path) -> Any:
    try:
        return safe_open(path, "pt")
    except (SafetensorError, OSError) as error:
        raise damaged(path, error) from None
