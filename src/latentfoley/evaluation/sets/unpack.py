"""Clips of a tar shard → files of their own, unpacked once into the cache.

They lie in `$XDG_CACHE_HOME/latentfoley/clips`, in a folder that is named by what is in the shard.
"""

import tarfile
from collections.abc import Sequence
from pathlib import Path

from latentfoley.encoding import write_atomically
from latentfoley.errors import InputError
from latentfoley.files import cache_folder


def unpacked_folder(sha256: str) -> Path:
    """Return where the clips of the shard with that hash are unpacked."""
    return cache_folder("clips") / sha256[:16]


def unpack(shard: Path, sha256: str, names: Sequence[str]) -> Path:
    """Return a folder with some members of a shard; what is there already stays.

    Args:
        shard: the file, which is whole.
        sha256: of it.
        names: of the members.

    Raises:
        InputError: a name leads out of the folder.
    """
    folder = unpacked_folder(sha256)
    for name in names:
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise InputError(f"'{shard}': the clip '{name}' leads out of the data set")
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        with tarfile.open(shard, "r:") as tar:
            for name in missing:
                file = tar.extractfile(name)
                assert file is not None  # the shard is what was written
                write_atomically(folder / name, file.read())
    return folder
