"""One file from the network → one whole file on disk, or none: aside, compared, then renamed."""

import http.client
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from latentfoley.checkpoints.tensors import hash_file
from latentfoley.errors import ModelError
from latentfoley.progress import Progress

_TIMEOUT_S = 30.0  # without a byte
_BLOCK_BYTES = 1 << 20
_NOTHING_LEFT = 416  # what a server answers where the part is whole already


def download(url: str, target: Path, sha256: str, progress: Progress | None = None) -> None:
    """Fetch a file, going on where an earlier attempt was cut off.

    Args:
        url: where it lies.
        target: where it shall lie.
        sha256: of its bytes, hexadecimal.
        progress: called after every block.

    Raises:
        ModelError: it cannot be reached, arrives cut short (what is there is kept), or is not the
            file of that hash (then it is removed).
    """
    part = target.with_name(f".{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _fetch(url, part, progress)
    except (OSError, http.client.HTTPException) as error:  # URLError is an OSError
        there = part.stat().st_size if part.is_file() else 0
        raise ModelError(
            f"{url} could not be fetched: {getattr(error, 'reason', None) or error}. {there:,} "
            f"bytes of it are kept, and the same command resumes from there. Without network, put "
            f"the file at '{target}'"
        ) from None
    digest = hash_file(part)
    if digest != sha256:
        part.unlink()
        raise ModelError(
            f"what came from {url} is not the published file: its SHA-256 is {digest}, expected "
            f"{sha256}. It was removed"
        )
    part.replace(target)


def _fetch(url: str, part: Path, progress: Progress | None) -> None:
    start = part.stat().st_size if part.is_file() else 0
    headers = {"User-Agent": "latentfoley"} | ({"Range": f"bytes={start}-"} if start else {})
    try:
        answer = urlopen(Request(url, headers=headers), timeout=_TIMEOUT_S)
    except HTTPError as error:
        if start and error.code == _NOTHING_LEFT:
            return
        raise
    with answer:
        if answer.status != http.client.PARTIAL_CONTENT:
            start = 0
        total = start + int(answer.headers.get("Content-Length") or 0)
        with part.open("ab" if start else "wb") as file:
            while block := answer.read(_BLOCK_BYTES):
                file.write(block)
                if progress is not None:
                    progress(file.tell(), total)
            there = file.tell()
    if there < total:
        raise OSError(f"cut off after {there:,} of {total:,} bytes")
