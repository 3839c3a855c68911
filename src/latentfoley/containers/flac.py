"""FLAC files: the streams in them, and what the last frame says of the length.

The header of a FLAC file says how many samples follow, and the decoder stops there. Each frame
carries its own place in the stream, so the last one shows where the sound ends (RFC 9639, §9.1).
"""

from typing import BinaryIO, NamedTuple

from latentfoley.containers.splice import Piece, Span

# The mark and the head of the first block, which describes the stream in 34 bytes; the second form
# stands where no other block follows.
_STARTS = (b"fLaC\0\0\0\x22", b"fLaC\x80\0\0\x22")
_DESCRIPTION_END = 42
_COUNT = Span(21, 26)  # where the count of samples stands, in the lower 36 of 40 bits
_MAX_COUNT = (1 << 36) - 1
_MAX_BLOCKS = 10_000
_BLOCK_BYTES = 1 << 20
_TAIL_BYTES = 1 << 17  # holds the last frame of nearly every file
_SHORTEST_HEAD, _HEAD_BYTES = 6, 16  # of a frame
_BLOCK_SIZES = (0, 192, 576, 1152, 2304, 4608, 0, 0, *(256 << k for k in range(8)))


class Stream(NamedTuple):
    """One stream.

    Attributes:
        span: where it stands.
        n_promised: samples per channel by its header, 0 where it does not say.
        n_there: the same by its last frame, 0 where none was found.
        field: the bytes of the header that hold `n_promised`.
    """

    span: Span
    n_promised: int
    n_there: int
    field: bytes

    @property
    def pieces(self) -> list[Piece]:
        """The stream, with a header that promises at least what is there."""
        if self.n_there <= self.n_promised:
            return [self.span]
        start = self.span.start
        kept = int.from_bytes(self.field, "big") & ~_MAX_COUNT
        count = (kept | min(self.n_there, _MAX_COUNT)).to_bytes(len(self.field), "big")
        return [
            Span(start, start + _COUNT.start),
            count,
            Span(start + _COUNT.end, self.span.end),
        ]


def find_streams(file: BinaryIO, start: int, n_bytes: int) -> list[Stream]:
    """Return the streams from byte `start` of a FLAC file on, in order."""
    starts = [start, *_find_starts(file, start + 4, n_bytes)]
    spans = [Span(a, b) for a, b in zip(starts, [*starts[1:], n_bytes], strict=True)]
    return [_read_stream(file, span) for span in spans]


def _find_starts(file: BinaryIO, start: int, n_bytes: int) -> list[int]:
    """Return where further streams begin."""
    starts = []
    for position in range(start, n_bytes, _BLOCK_BYTES):
        file.seek(position)
        block = file.read(_BLOCK_BYTES + len(_STARTS[0]) - 1)
        for mark in _STARTS:
            found = block.find(mark)
            while found >= 0:
                starts.append(position + found)
                found = block.find(mark, found + 1)
    return sorted(starts)


def _read_stream(file: BinaryIO, span: Span) -> Stream:
    file.seek(span.start)
    head = file.read(_DESCRIPTION_END)
    count = head[_COUNT.start : _COUNT.end]
    n_promised = int.from_bytes(count, "big") & _MAX_COUNT
    first = _first_frame(file, span)
    file.seek(max(first, span.end - _TAIL_BYTES))
    tail = file.read(max(0, span.end - file.tell()))
    file.seek(first)
    pattern = file.read(_HEAD_BYTES)
    n_there = _last_sample(tail, pattern, int.from_bytes(head[8:10], "big"))
    return Stream(span, n_promised, n_there, count)


def _first_frame(file: BinaryIO, span: Span) -> int:
    """Return where the frames begin: behind the blocks with descriptions, pictures and the like."""
    position = span.start + 4
    for _ in range(_MAX_BLOCKS):
        file.seek(position)
        head = file.read(4)
        position += 4 + int.from_bytes(head[1:], "big")
        if len(head) < 4 or head[0] & 0x80:
            break
    return min(position, span.end)


def _last_sample(tail: bytes, first: bytes, block_size: int) -> int:
    """Return where the last frame in these bytes ends, in samples; 0 where there is none.

    `first` is the head of the first frame: what does not change in a stream must be the same,
    because bytes that look like a head occur by chance.
    """
    position = len(tail)
    if len(first) < _SHORTEST_HEAD:
        return 0
    while (position := tail.rfind(first[:2], 0, position)) >= 0:
        head = tail[position : position + _HEAD_BYTES]
        if len(head) >= _SHORTEST_HEAD and _same_kind(first, head):
            end = _frame_end(head, block_size)
            if end:
                return end
    return 0


def _same_kind(first: bytes, head: bytes) -> bool:
    channels = [8 <= one[3] >> 4 < 11 or one[3] >> 4 for one in (first, head)]
    stereo = [one is True or one == 1 for one in channels]
    same_channels = channels[0] == channels[1] or all(stereo)
    return same_channels and first[2] & 15 == head[2] & 15 and first[3] & 15 == head[3] & 15


def _frame_end(head: bytes, block_size: int) -> int:
    """Return the number of the sample behind a frame by its head, 0 where this is none."""
    if head[1] & 0xFE != 0xF8:
        return 0
    number, place = _read_number(head, 4)
    size_code, rate_code = head[2] >> 4, head[2] & 15
    n_size = {6: 1, 7: 2}.get(size_code, 0)
    n_samples = _BLOCK_SIZES[size_code]
    if n_size:
        n_samples = 1 + int.from_bytes(head[place : place + n_size], "big")
    place += n_size + {12: 1, 13: 2, 14: 2}.get(rate_code, 0)
    if number < 0 or n_samples == 0 or place >= len(head) or _crc8(head[:place]) != head[place]:
        return 0
    counts_samples = bool(head[1] & 1)
    return (number if counts_samples else number * block_size) + n_samples


def _read_number(head: bytes, place: int) -> tuple[int, int]:
    """Return a number and the place behind it; -1 where it is not well-formed.

    It is coded as UTF-8 codes characters, in one to seven bytes.
    """
    first = head[place]
    n_bytes = next((n for n in range(8) if not first & 0x80 >> n), 8)  # leading ones
    if n_bytes == 0:
        return first, place + 1
    following = head[place + 1 : place + n_bytes]
    if n_bytes in (1, 8) or len(following) < n_bytes - 1:
        return -1, place
    number = first & 0x7F >> n_bytes
    for byte in following:
        if byte & 0xC0 != 0x80:
            return -1, place
        number = number << 6 | byte & 0x3F
    return number, place + n_bytes


def _crc8(data: bytes) -> int:
    """Return the checksum of a frame's head: x⁸ + x² + x + 1."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ 0x107 * (crc >> 7)) & 0xFF
    return crc
