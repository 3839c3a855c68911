"""What a file is, by its first bytes.

Asked before a decoder opens a file, so that parsers for what nobody has are never reached. A tag of
names and pictures (ID3) may stand before anything.
"""

from typing import BinaryIO

from latentfoley.containers.mpeg import id3_bytes
from latentfoley.containers.riff import begins

_MAX_TAGS = 100
_SEARCHED_BYTES = 1 << 16
_FEWEST_ZEROS = 16  # fewer may be a number that a format begins with

# Kinds that FFmpeg opens: the first bytes, and where they stand.
_FOREIGN = (
    (4, b"ftyp", "MPEG-4"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "WMA"),
    (0, b"\x1aE\xdf\xa3", "Matroska"),
    (0, b"#!AMR", "AMR"),
    (0, b".snd", "AU"),
    (0, b"caff", "CAF"),
    (0, b"riff\x2e\x91\xcf\x11", "W64"),
    (0, b"RF64", "RF64"),
    (0, b"BW64", "RF64"),
    (0, b"wvpk", "WavPack"),
    (0, b"MAC ", "APE"),
    (0, b"TTA1", "TTA"),
)


def find_kind(file: BinaryIO, n_bytes: int) -> tuple[str | None, int]:
    """Return what a file is, None for anything else, and where it begins behind tags and zeros.

    "WAV", "AIFF", "FLAC", "OGG" and "MP3" are libsndfile's; see `media.py` for the others.
    """
    has_tag, start = _after_tags(file, n_bytes)
    file.seek(start)
    head = file.read(16)
    for kind in ("WAV", "AIFF"):
        if begins(kind, head):
            return kind, start
    for mark, kind in ((b"fLaC", "FLAC"), (b"OggS", "OGG")):
        if head.startswith(mark):
            return kind, start
    for place, mark, kind in _FOREIGN:
        if head[place:].startswith(mark):
            return kind, start
    return _mpeg_kind(head) or ("MP3" if has_tag else None), start


def _after_tags(file: BinaryIO, n_bytes: int) -> tuple[bool, int]:
    """Return whether a file begins with ID3 tags, and where they and zeros behind them end."""
    file.seek(0)
    has_tag, position = file.read(3) == b"ID3", 0
    for _ in range(_MAX_TAGS):
        file.seek(position)
        n_tag = id3_bytes(file.read(10))
        if n_tag == 0 or position + n_tag >= n_bytes:
            break
        position += n_tag
    return has_tag, position + _count_zeros(file, position)


def _count_zeros(file: BinaryIO, position: int) -> int:
    file.seek(position)
    head = file.read(_SEARCHED_BYTES)
    n_zeros = len(head) - len(head.lstrip(b"\0"))
    return n_zeros if _FEWEST_ZEROS <= n_zeros < len(head) else 0


def _mpeg_kind(head: bytes) -> str | None:
    """Return which MPEG audio begins with these bytes: layer III, I or II, or AAC in ADTS."""
    if len(head) < 12 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    layer = head[1] >> 1 & 3
    if layer == 0:
        return "ADTS" if head[1] & 0xF0 == 0xF0 else None
    return "MP3" if layer == 1 else "MP2"
