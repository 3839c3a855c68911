"""Where files that FFmpeg reads say they end: of a cut one it plays what there is, in silence."""

from typing import BinaryIO

_MAX_CHUNKS = 10_000
_MAX_OFFSET = 1 << 62
_UNKNOWN_32, _UNKNOWN_64 = 0xFFFF_FFFF, 0xFFFF_FFFF_FFFF_FFFF


def claimed_end(file: BinaryIO, kind: str) -> int:
    """Return the byte behind the last that a file says it has, 0 where its format does not say."""
    file.seek(0)
    head = file.read(40)
    if kind == "AU":
        start, size = int.from_bytes(head[4:8], "big"), int.from_bytes(head[8:12], "big")
        return 0 if size == _UNKNOWN_32 else start + size
    if kind == "W64":
        return int.from_bytes(head[16:24], "little")
    if kind == "RF64" and head[12:16] == b"ds64":
        return 8 + int.from_bytes(head[20:28], "little")
    return _caf_end(file) if kind == "CAF" else 0


def _caf_end(file: BinaryIO) -> int:
    position = 8
    for _ in range(_MAX_CHUNKS):
        file.seek(position)
        head = file.read(12)
        size = int.from_bytes(head[4:], "big")
        if len(head) < 12:
            return 0
        if head[:4] == b"data" or size > _MAX_OFFSET:
            return 0 if size == _UNKNOWN_64 else position + 12 + size
        position += 12 + size
    return 0
