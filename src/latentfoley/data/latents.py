"""What a model makes of a data set, kept on disk and read at random.

    cache.json                    what made it, and how much there is
    latents-000000-000.safetensors …   windows: log_mel, mean, std, E, held_out, start_s
    records/                      what each shard was encoded from, and hashes of its windows

A cache knows the identity of the encoder that made it (`encoder.py`); one that another encoder made
is refused, and so is one of which a file is missing or damaged. Every file is hashed when a cache
is opened for the first time in a process: 0.7 s of CPU a GB. Reading keeps an index of eight bytes
a window in memory and a hash for each file. A cache in a remote place is read through copies.

It does not know how windows are made (`encode.py`) or what is learnt from them.
"""

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Int32
from safetensors import SafetensorError, safe_open
from torch import Tensor

from latentfoley.config import Config
from latentfoley.data.copies import kept_copy
from latentfoley.data.encoder import Encoder, Identity
from latentfoley.data.latent_files import (
    damaged,
    has_hash,
    not_written,
    require_count,
    require_files,
)
from latentfoley.data.variations import Augmentation
from latentfoley.errors import InputError, RecipeError, nearest
from latentfoley.places import Place, Where, nearest_place

MARKER, METADATA = "cache.json", "latentfoley"
FIELDS = ("log_mel", "mean", "std", "E", "held_out", "start_s")

_OPEN_FILES = 32


class CacheSettings(Identity, Augmentation):
    """What a cache depends on: the encoder, its windows, and the place of the shards: absolute,
    relative to the cache, or remote."""

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


def read_info(where: Where) -> CacheInfo:
    """Return what a cache says about itself.

    Raises:
        RecipeError: the folder holds no cache, or one that is damaged or not finished.
        InputError: its place refuses.
    """
    place = Place.of(where)
    path = place.where(MARKER)
    try:
        data = place.read(MARKER)
        if data is not None:
            info = CacheInfo.parse(json.loads(data), where=path)
    except InputError:
        raise
    except (ValueError, OSError) as error:
        raise RecipeError(f"{path} cannot be read ({error})") from None
    if data is None:
        raise RecipeError(
            f"'{place}' holds no {MARKER}: give a folder that `latentfoley data encode` has "
            f"written.{nearest_place(place)}"
        )
    if not info.complete:
        raise RecipeError(
            f"'{place}' is not finished: run the same `latentfoley data encode` again to go on"
        )
    return info


def require_made_by(place: Place, made: Identity, now: Identity) -> None:
    """Refuse a cache of another encoder.

    Raises:
        RecipeError: names the parts that differ.
    """
    other = [name for name in Identity.model_fields if getattr(made, name) != getattr(now, name)]
    if other:
        told = "; ".join(f"{k} was {getattr(made, k)}, now {getattr(now, k)}" for k in other)
        raise RecipeError(
            f"the cache '{place}' is stale: {told}. Make another with `latentfoley data encode`, "
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
        folder: Where,
        split: Literal["train", "valid"] | None = None,
        *,
        encoder: Encoder | None = None,
    ) -> None:
        """Open a cache.

        Args:
            folder: where `latentfoley data encode` has written. The files of a remote place are
                copied to this machine when they are read, into a folder that keeps the last 32 GiB
                of them that were used; see `copies.py`.
            split: only what is trained on, or only what is held out; None is both.
            encoder: that of the model in use; a cache of another one is refused.

        Raises:
            RecipeError: no cache, one that is damaged, unfinished, stale or not whole, or an empty
                split.
            InputError: a remote place refuses.
        """
        self.place = Place.of(folder)
        self.info = read_info(self.place)
        if encoder is not None:
            require_made_by(self.place, self.info.settings, encoder.identity)
        self._hashes = require_files(self.place)
        self._files = list(self._hashes)
        self._open = lru_cache(maxsize=_OPEN_FILES)(self._open_file)
        self._about = lru_cache(maxsize=_OPEN_FILES)(self._read_about)
        self._places = self._index(split)
        if not len(self._places):
            raise RecipeError(
                f"'{self.place}' has no windows in split '{split or 'train or valid'}'"
            )

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
        for number, name in enumerate(self._files):
            self._require_written(name)
            with self._open_file(name) as file:
                held_out = file.get_tensor("held_out").numpy()  # (W,)
            wanted = np.ones_like(held_out) if split is None else held_out == (split == "valid")
            rows = np.flatnonzero(wanted).astype(np.int32)
            places.append(np.stack([np.full_like(rows, number), rows], axis=1))
            n_windows += len(held_out)
        require_count(self.place, self.info.n_windows, n_windows)
        return np.concatenate(places)

    def _require_written(self, name: str) -> None:
        """Refuse a file of this machine that is not what was written; copies are compared anyway.

        Raises:
            RecipeError: its bytes are others.
        """
        sha256 = self._hashes[name]
        if self.place.folder is not None and sha256 and not has_hash(self.place, name, sha256):
            raise not_written(self.place.where(name))

    def _open_file(self, name: str) -> Any:
        folder = self.place.folder
        path = kept_copy(self.place, name, self._hashes[name]) if folder is None else folder / name
        try:
            return safe_open(path, "pt")
        except (SafetensorError, OSError) as error:
            raise damaged(self.place.where(name), error) from None
