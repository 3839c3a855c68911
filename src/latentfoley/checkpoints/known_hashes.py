"""Hashes of weights, kept from one run to the next: no run reads gigabytes to say what it used.

A hash is kept in `$XDG_CACHE_HOME/latentfoley/hashes` under a name made of what the system says of
every file: path, size, inode, and the moments of the last change of content and of attributes. A
file that was touched in any way has another name, so there is nothing that could be out of date.
"""

import json
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from latentfoley.files import aside, cache_folder

_SETTLED_NS = 2_000_000_000  # a change within one tick of the file system's clock has its moment


def known_hash(files: Sequence[Path], compute: Callable[[], str]) -> str:
    """Return what `compute` says of files, without asking it where they are as they were.

    A cache that cannot be read or written is as good as none.
    """
    stats = [(str(file.resolve()), file.stat()) for file in files]
    seen = [
        [path, stat.st_size, stat.st_ino, stat.st_dev, stat.st_mtime_ns, stat.st_ctime_ns]
        for path, stat in stats
    ]
    place = cache_folder("hashes") / sha256(json.dumps(seen).encode()).hexdigest()
    try:
        return _require_hash(place.read_text(encoding="ascii"))
    except (OSError, ValueError):
        value = compute()
    if all(time.time_ns() - stat.st_ctime_ns > _SETTLED_NS for _, stat in stats):
        with suppress(OSError), aside(place) as part:
            part.write_text(value, encoding="ascii")
    return value


def _require_hash(text: str) -> str:
    """Refuse what a full disk or somebody else left there."""
    if len(text) != 16:
        raise ValueError(text)
    int(text, 16)
    return text
