"""Ranges of a file and bytes of our own, read one after the other as if they were a file.

A decoder that stops early is given what it understands: one stream of several, a header that tells
the truth, frames without what stands between them. Nothing is copied but what is asked for.
"""

import io
import os
from bisect import bisect_right
from itertools import accumulate
from typing import BinaryIO, NamedTuple


class Span(NamedTuple):
    """The bytes of a file from `start` up to `end`."""

    start: int
    end: int


Piece = Span | bytes


class Splice(io.RawIOBase):
    """A read-only, seekable file made of pieces of one that stays open."""

    def __init__(self, file: BinaryIO, pieces: list[Piece]) -> None:
        self._file, self._pieces, self._position = file, pieces, 0
        sizes = (len(p) if isinstance(p, bytes) else p.end - p.start for p in pieces)
        self._ends = list(accumulate(sizes))

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._n_bytes}[whence]
        self._position = max(0, origin + offset)
        return self._position

    @property
    def _n_bytes(self) -> int:
        return self._ends[-1] if self._ends else 0

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        view = memoryview(buffer).cast("B")
        n_read = 0
        while n_read < len(view) and self._position < self._n_bytes:
            part = self._part(len(view) - n_read)
            if not part:  # the file has become shorter since it was opened
                break
            view[n_read : n_read + len(part)] = part
            n_read += len(part)
            self._position += len(part)
        return n_read

    def _part(self, n_wanted: int) -> bytes:
        """Return bytes from the current position on, at most to the end of their piece."""
        index = bisect_right(self._ends, self._position)
        start = self._ends[index - 1] if index else 0
        offset, piece = self._position - start, self._pieces[index]
        if isinstance(piece, bytes):
            return piece[offset : offset + n_wanted]
        self._file.seek(piece.start + offset)
        return self._file.read(min(n_wanted, piece.end - piece.start - offset))
