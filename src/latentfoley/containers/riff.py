"""WAV and AIFF files, chunk by chunk: how much sound they claim and hold, and the comment.

A length in a header is what a program meant to write. One that ran out of disk, was killed or was
wrong leaves a length that does not fit the file, and the decoder believes it.
"""

from collections.abc import Iterator
from itertools import islice
from typing import BinaryIO, Literal, NamedTuple

from latentfoley.containers.splice import Span

# A file of a million empty chunks is an attack, not a recording.
_MAX_CHUNKS = 10_000
_MAX_COMMENT_BYTES = 1 << 20
_BLOCK_BYTES = 1 << 20
# From here on a length field means "not known": the writer was a pipe and could not go back.
_STREAMED_LENGTH = 0x7FFF_F000


class Sound(NamedTuple):
    """The chunk with the samples.

    Attributes:
        start: where they begin.
        n_claimed: bytes it says it has; None where it does not know.
        n_there: bytes from `start` to the end of the file.
        is_file_whole: whether the file as a whole is as long as it says, so that a chunk that
            claims more is wrong, and not cut.
    """

    start: int
    n_claimed: int | None
    n_there: int
    is_file_whole: bool


class _Chunk(NamedTuple):
    name: bytes
    start: int
    n_bytes: int


def find_sound(file: BinaryIO, kind: str, span: Span) -> Sound | None:
    """Return the chunk with the samples of a WAV or AIFF file, None where there is none."""
    name = b"data" if kind == "WAV" else b"SSND"
    chunk = next((c for c in _chunks(file, kind, span.start) if c.name == name), None)
    if chunk is None or chunk.start > span.end:
        return None
    file.seek(span.start + 4)
    total = int.from_bytes(file.read(4), _byte_order(kind))
    is_whole = span.start + 8 + total in (span.end, span.end - 1)
    claimed = chunk.n_bytes if chunk.n_bytes < _STREAMED_LENGTH else None
    return Sound(chunk.start, claimed, span.end - chunk.start, is_whole)


def find_files(file: BinaryIO, kind: str, start: int, n_bytes: int) -> list[Span]:
    """Return where the files stand that were joined end to end, the first at `start`."""
    spans = []
    while start < n_bytes:
        file.seek(start + 4)
        end = start + 8 + int.from_bytes(file.read(4), _byte_order(kind))
        file.seek(min(end, n_bytes))
        stop = end if begins(kind, file.read(12)) else n_bytes
        spans.append(Span(start, stop))
        start = stop
    return spans


def begins(kind: str, head: bytes) -> bool:
    """Return whether a file of this kind begins with these twelve bytes."""
    if kind == "WAV":
        return head[:4] == b"RIFF" and head[8:12] == b"WAVE"
    return head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC")


def count_unexplained(file: BinaryIO, kind: str, sound: Sound) -> int:
    """Return how many bytes behind the samples are neither chunks nor zeros.

    Where a length field is too small, the rest of the sound is among them.
    """
    end = sound.start + sound.n_there
    position = sound.start + (sound.n_claimed or 0)
    position += position % 2
    for _ in range(_MAX_CHUNKS):
        file.seek(position)
        head = file.read(8)
        size = int.from_bytes(head[4:], _byte_order(kind))
        if len(head) < 8 or not _is_name(head[:4]) or position + 8 + size > end:
            break
        position += 8 + size + size % 2
    return max(0, end - position) if _has_content(file, position, end) else 0


def _is_name(name: bytes) -> bool:
    return name.isascii() and name.decode("ascii").isprintable()


def _has_content(file: BinaryIO, position: int, end: int) -> bool:
    file.seek(position)
    return any(
        file.read(min(_BLOCK_BYTES, end - start)).strip(b"\0")
        for start in range(position, end, _BLOCK_BYTES)
    )


def read_wav_comment(file: BinaryIO) -> str:
    """Return the comment (`LIST`/`INFO`/`ICMT`) of a WAV file, "" where there is none."""
    for chunk in _chunks(file, "WAV", 0):
        if chunk.name == b"ICMT" and chunk.n_bytes <= _MAX_COMMENT_BYTES:
            file.seek(chunk.start)
            return file.read(chunk.n_bytes).rstrip(b"\0").decode("utf-8", errors="replace")
    return ""


def _chunks(file: BinaryIO, kind: str, start: int) -> Iterator[_Chunk]:
    return islice(_all_chunks(file, _byte_order(kind), start), _MAX_CHUNKS)


def _all_chunks(
    file: BinaryIO, byte_order: Literal["little", "big"], start: int
) -> Iterator[_Chunk]:
    """Walk the chunks in file order; those inside a LIST of kind INFO as if they stood flat."""
    position = start + 12
    while True:
        file.seek(position)
        head = file.read(12)
        if len(head) < 8:
            return
        n_bytes = int.from_bytes(head[4:8], byte_order)
        if head[:4] == b"LIST" and head[8:] == b"INFO":
            position += 12
            continue
        yield _Chunk(head[:4], position + 8, n_bytes)
        position += 8 + n_bytes + n_bytes % 2  # chunks begin at even places


def _byte_order(kind: str) -> Literal["little", "big"]:
    return "little" if kind == "WAV" else "big"
