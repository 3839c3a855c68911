"""MP3 files, frame by frame: which streams they hold, and how long each really is.

A frame says how long it is, so a file can be walked without decoding. What a length tag (Xing,
Info, VBRI) promises is compared with the frames that are there, because the decoder believes the
tag: it stops where the tag does, and plays one of two recordings that were joined. Tags of names
and pictures (ID3, APE, Lyrics3) and zeros may stand anywhere between.

Layer III of MPEG-1, 2 and 2.5 (ISO 11172-3, 13818-3); the tags as LAME and Fraunhofer write them.
"""

import re
from dataclasses import dataclass, field
from typing import BinaryIO, NamedTuple

from latentfoley.containers.splice import Piece, Span

# MPEG-1 and MPEG-2 Layer III: kbit/s by bit-rate index, Hz by version and rate index.
_KBIT_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_KBIT_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_RATES = {
    3: (44_100, 48_000, 32_000),
    2: (22_050, 24_000, 16_000),
    0: (11_025, 12_000, 8_000),
}
_HEAD_BYTES = 256  # of a frame: more than its header and a length tag take
_SEARCHED_BYTES = 1 << 16
_MARK = re.compile(rb"\xff[\xe2\xe3\xf2\xf3\xfa\xfb]|ID3|TAG|APETAGEX|LYRICSBEGIN|\0{16}")
_MAX_MISSES = 20_000  # marks that lead to no frame: beyond that it is an attack
_HAS_FRAMES, _HAS_BYTES = 1, 2


class Frame(NamedTuple):
    """One frame: where it stands and what its header says."""

    start: int
    header: bytes
    n_bytes: int
    n_samples: int
    sample_rate: int
    channels: int

    @property
    def end(self) -> int:
        return self.start + self.n_bytes


class LengthTag(NamedTuple):
    """What the frame with the length tag says of those behind it; None where it is silent."""

    span: Span
    n_frames: int | None
    n_bytes: int | None
    is_xing: bool


@dataclass
class Stream:
    """Frames that belong together.

    Attributes:
        first: its first frame of sound.
        tag: its length tag.
        n_frames: how many frames of sound there are.
        spans: where they stand; more than one where something stands between them.
        n_strange: bytes between and behind them that are neither frames nor tags nor zeros.
        n_cut: bytes of a last frame that are missing at the end of the file.
    """

    first: Frame
    tag: LengthTag | None
    n_frames: int = 0
    spans: list[Span] = field(default_factory=list)
    n_strange: int = 0
    n_cut: int = 0

    @property
    def is_plain(self) -> bool:
        """Whether a decoder that believes the tag reads all of it."""
        if self.tag is None or self.tag.n_frames is None or not self.tag.is_xing:
            return False
        # Encoders disagree on whether the frame with the tag counts.
        as_many = self.tag.n_frames in (self.n_frames, self.n_frames + 1)
        return len(self.spans) == 1 and as_many

    @property
    def start(self) -> int:
        """Where it begins."""
        return self.first.start if self.tag is None else self.tag.span.start

    @property
    def is_cut(self) -> bool:
        """Whether its tag promises more, in frames and not only by a wrong count of them."""
        if self.tag is None or (self.tag.n_frames or 0) <= self.n_frames + 1:
            return False
        n_bytes = self.spans[-1].end - self.tag.span.start
        return self.tag.n_bytes is None or self.tag.n_bytes > n_bytes

    @property
    def pieces(self) -> list[Piece]:
        """The stream, with a tag that promises what is there."""
        if self.is_plain and self.tag is not None:
            return [Span(self.start, self.spans[-1].end)]
        return [length_tag(self.first, self.n_frames), *self.spans]

    def add(self, frame: Frame) -> None:
        """Take the next frame."""
        self.n_frames += 1
        if self.spans and self.spans[-1].end == frame.start:
            self.spans[-1] = Span(self.spans[-1].start, frame.end)
        else:
            self.spans.append(Span(frame.start, frame.end))


def find_streams(file: BinaryIO, n_bytes: int) -> list[Stream]:
    """Walk an MP3 file and return the streams in it, in order; none where nothing is a frame."""
    walk = _Walk()
    position = n_misses = 0
    while position < n_bytes and n_misses < _MAX_MISSES:
        file.seek(position)
        head = file.read(_HEAD_BYTES)
        n_other, frame = _other_bytes(head), parse_frame(head, position)
        if n_other:  # a tag ends a recording: what follows is another
            walk.ends = True
            position += n_other
        elif frame and (walk.goes_on_with(frame) or _is_followed(file, frame, n_bytes)):
            walk.take(frame, head, n_bytes)
            position = frame.end
        else:
            n_passed = _bytes_to_next_mark(file, position, n_bytes)
            walk.n_strange += n_passed
            position, n_misses = position + n_passed, n_misses + 1
    return walk.finish(n_bytes - min(position, n_bytes))


class _Walk:
    """The streams found so far."""

    def __init__(self) -> None:
        self.streams: list[Stream] = []
        self.tag: LengthTag | None = None
        self.ends = True  # whether the next frame begins a stream
        self.n_strange = 0

    def goes_on_with(self, frame: Frame) -> bool:
        """Return whether a frame is of the same kind as those before it."""
        return not self.ends and bool(self.streams) and _alike(self.streams[-1].first, frame)

    def take(self, frame: Frame, head: bytes, n_bytes: int) -> None:
        tag = _read_tag(frame, head)
        if tag is not None:
            self.tag, self.ends = tag, True
            return
        if frame.end > n_bytes:
            if self.streams:
                self.streams[-1].n_cut = frame.end - n_bytes
            return
        if not self.goes_on_with(frame):
            self.streams.append(Stream(frame, self.tag))
        stream = self.streams[-1]
        stream.add(frame)
        stream.n_strange += self.n_strange
        self.tag, self.ends, self.n_strange = None, False, 0

    def finish(self, n_left: int) -> list[Stream]:
        if self.streams:
            self.streams[-1].n_strange += self.n_strange + n_left
        return self.streams


def id3_bytes(head: bytes) -> int:
    """Return how long the ID3v2 tag is that begins with these ten bytes, 0 where there is none."""
    if len(head) < 10 or head[:3] != b"ID3" or max(head[6:10]) > 127:
        return 0
    n_bytes = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]  # four times seven bits
    has_footer = bool(head[5] & 0x10)
    return 10 + n_bytes + 10 * has_footer


def parse_frame(head: bytes, position: int) -> Frame | None:
    """Return the Layer III frame whose header these bytes begin with, None where there is none."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE6 != 0xE2:
        return None
    version, rate, bits = head[1] >> 3 & 3, head[2] >> 2 & 3, head[2] >> 4
    if version not in _RATES or rate == 3 or bits in (0, 15):
        return None
    sample_rate, n_samples = _RATES[version][rate], 1152 if version == 3 else 576
    kbit_per_s = (_KBIT_1 if version == 3 else _KBIT_2)[bits]
    n_bytes = n_samples * 125 * kbit_per_s // sample_rate + (head[2] >> 1 & 1)
    channels = 1 if head[3] >> 6 == 3 else 2
    return Frame(position, head[:4], n_bytes, n_samples, sample_rate, channels)


def length_tag(first: Frame, n_frames: int) -> bytes:
    """Return a frame with a length tag: so many frames follow, of the kind of `first`."""
    version, kind, bits, mode = first.header
    # No checksum, no padding, and a bit rate at which the frame has room for the tag.
    header = bytes((version, kind | 1, bits & 0x0C | 0x90, mode))
    frame = parse_frame(header, 0)
    assert frame is not None
    tag = b"Xing" + _HAS_FRAMES.to_bytes(4, "big") + n_frames.to_bytes(4, "big")
    return (header + bytes(_side_bytes(frame)) + tag).ljust(frame.n_bytes, b"\0")


def _alike(one: Frame, other: Frame) -> bool:
    return (one.sample_rate, one.n_samples, one.channels) == (
        other.sample_rate,
        other.n_samples,
        other.channels,
    )


def _is_followed(file: BinaryIO, frame: Frame, n_bytes: int) -> bool:
    """Return whether what stands behind a frame shows that it is one: two bytes occur by chance."""
    if frame.end >= n_bytes:
        return frame.end == n_bytes
    file.seek(frame.end)
    head = file.read(_HEAD_BYTES)
    after = parse_frame(head, frame.end)
    return bool(_other_bytes(head)) if after is None else _alike(frame, after)


def _other_bytes(head: bytes) -> int:
    """Return how many bytes a tag or a run of zeros takes that begins here, 0 for anything else."""
    if not head[0]:
        return len(head) - len(head.lstrip(b"\0"))
    if head.startswith(b"TAG"):
        return 128
    if head.startswith(b"APETAGEX") and len(head) >= 32:
        has_header = bool(head[23] & 0x80)
        return 32 + int.from_bytes(head[12:16], "little") * has_header
    return id3_bytes(head)


def _bytes_to_next_mark(file: BinaryIO, position: int, n_bytes: int) -> int:
    """Return how far it is to what may be a frame or a tag, at least one byte."""
    file.seek(position + 1)
    searched = file.read(_SEARCHED_BYTES)
    found = _MARK.search(searched)
    return min(n_bytes - position, 1 + (found.start() if found else max(0, len(searched) - 16)))


def _read_tag(frame: Frame, head: bytes) -> LengthTag | None:
    """Return the length tag a frame holds instead of sound."""
    place, span = 4 + _side_bytes(frame), Span(frame.start, frame.end)
    if head[36:40] == b"VBRI":
        return LengthTag(span, _integer(head, 50), _integer(head, 46), is_xing=False)
    for start in (place, place + 2):  # two bytes of checksum may stand before it
        if head[start : start + 4] in (b"Xing", b"Info"):
            flags = _integer(head, start + 4)
            fields = iter((_integer(head, start + 8), _integer(head, start + 12)))
            n_frames = next(fields) if flags & _HAS_FRAMES else None
            n_bytes = next(fields) if flags & _HAS_BYTES else None
            return LengthTag(span, n_frames, n_bytes, is_xing=True)
    return None


def _side_bytes(frame: Frame) -> int:
    """Return how many bytes stand between the header of a frame and its tag."""
    if frame.n_samples == 1152:
        return 32 if frame.channels == 2 else 17
    return 17 if frame.channels == 2 else 9


def _integer(data: bytes, start: int) -> int:
    return int.from_bytes(data[start : start + 4], "big")
