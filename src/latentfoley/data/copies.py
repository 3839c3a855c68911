"""Copies of remote files on this machine: each is fetched once, and the last used are kept.

They lie in `$XDG_CACHE_HOME/latentfoley/latents`, named by their SHA-256, so that two caches with
the same windows share them. Together they have at most 32 GiB: beyond that, those go that were not
used for longest. A cache of latents that is larger than that is fetched again and again, and is
better copied to a disk as a whole.
"""

import os
from pathlib import Path
from time import time_ns

from latentfoley.data.latent_files import has_hash, not_written
from latentfoley.errors import RecipeError
from latentfoley.files import aside, cache_folder
from latentfoley.places import Place

MOST_BYTES = 32 << 30


def kept_copy(place: Place, name: str, sha256: str) -> Path:
    """Return a copy of a remote file; it stays until others have taken its room.

    A copy is hashed when it is fetched, and once in every process that uses it.

    Args:
        place: where the file is.
        name: of the file.
        sha256: that it has to have.

    Raises:
        RecipeError: its bytes have another hash, or its record has none.
        InputError: the place refuses.
        OSError: the disk refuses.
    """
    if not sha256:
        raise RecipeError(
            f"'{place.where(name)}' has no hash in its record; run the same "
            "`latentfoley data encode` again"
        )
    folder = Place.of(cache_folder("latents"))
    copy = cache_folder("latents") / f"{sha256}.safetensors"
    if not (folder.has(copy.name) and has_hash(folder, copy.name, sha256)):
        with aside(copy) as part:
            place.fetch(name, part)
            if folder.hash(part.name) != sha256:
                raise not_written(place.where(name))
        _make_room(copy)
    # Its time of use alone: the time of change says that it is what was hashed.
    os.utime(copy, ns=(time_ns(), copy.stat().st_mtime_ns))
    return copy


def _make_room(newest: Path) -> None:
    """Remove the copies that were not used for longest, but never the newest."""
    copies = [(path.stat(), path) for path in newest.parent.glob("*.safetensors")]
    n_bytes = sum(state.st_size for state, _ in copies)
    for state, path in sorted(copies, key=lambda copy: copy[0].st_atime_ns):
        if n_bytes > MOST_BYTES and path != newest:
            path.unlink(missing_ok=True)
            n_bytes -= state.st_size
