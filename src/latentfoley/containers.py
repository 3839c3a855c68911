"""Opening a recording: what a file is, whether it is whole, and its comment.

The first bytes decide what a file is before the decoder sees it, and only common codecs are let
through, because the rare ones are where libsndfile's vulnerabilities are. What libsndfile does not
tell is read from the bytes here: a WAV, AIFF or Ogg file that was cut short decodes as a shorter
recording, an MP3 of changing bit rate without a length tag loses its end, and a WAV comment of more
than 2 KiB is dropped.

It does not know about samples: that is `audio.py`.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

import soundfile

from latentfoley.errors import AudioFileError, nearest_files

MIN_SAMPLE_RATE, MAX_SAMPLE_RATE = 1_000, 768_000
MAX_CHANNELS = 64  # seventh-order ambisonics

_UNKNOWN_LENGTH = 2**63 - 1  # libsndfile's count for a stream whose header gives none

_PCM = {"PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"}
_READABLE = {
    "WAV": _PCM,
    "WAVEX": _PCM,
    "AIFF": _PCM,
    "FLAC": _PCM,
    "OGG": {"VORBIS", "OPUS"},
    "MP3": {"MPEG_LAYER_III"},
}
_READABLE_TEXT = "WAV and AIFF (PCM or float), FLAC, Ogg Vorbis, Opus, MP3"

# A file of a million empty chunks is an attack, not a recording.
_MAX_CHUNKS = 10_000
_MAX_COMMENT_BYTES = 1 << 20
# From here on a length field means "not known": the writer was a pipe and could not go back.
_STREAMED_LENGTH = 0x7FFF_F000
# An Ogg page is at most 27 + 255 bytes of header and 255 · 255 bytes of data.
_OGG_PAGE_BYTES = 27 + 255 + 255 * 255
_OGG_END_OF_STREAM = 0x04
# MPEG-1 and MPEG-2 Layer III: kbit/s by bit-rate index, Hz by version and rate index.
_KBIT_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_KBIT_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_MPEG_RATES = {
    3: (44_100, 48_000, 32_000),
    2: (22_050, 24_000, 16_000),
    0: (11_025, 12_000, 8_000),
}
_MAX_MPEG_FRAMES = 10_000  # four minutes: enough to see whether the bit rate changes


class OpenRecording(soundfile.SoundFile):
    """An open recording that decodes straight on from block to block.

    `SoundFile.read` seeks to where it already is after every block if the file is seekable. In an
    MP3 that drops the bit reservoir, so that samples after each seam are wrong, and at the end of a
    FLAC whose header promises too much it raises and the last block is lost.
    """

    promises_length = True
    """Whether `frames` is what the file says; else it is unknown or the decoder's estimate."""

    def seekable(self) -> bool:
        return False


@contextmanager
def open_recording(path: str | os.PathLike[str]) -> Iterator[OpenRecording]:
    """Open a recording for decoding from its start, block by block.

    Raises:
        AudioFileError: no such file, a folder, empty, not a recording, cut short, a codec, channel
            count (1 to 64) or sample rate (1 to 768 kHz) that is not allowed.
    """
    kind, promises_length = _inspect(Path(path))
    try:
        file = OpenRecording(os.fspath(path))
    except TypeError:  # soundfile asks for the sample rate of what is called .raw
        raise AudioFileError(
            f"'{path}': the suffix .raw stands for samples without a header; "
            f"this begins like {kind}, rename it to .{kind.lower()}"
        ) from None
    except soundfile.SoundFileError:
        raise AudioFileError(
            f"'{path}' begins like {kind} but cannot be decoded: it is damaged, cut short or holds "
            f"no samples. Allowed: {_READABLE_TEXT}."
        ) from None
    with file:
        _require_allowed(path, file)
        file.promises_length = promises_length and file.frames != _UNKNOWN_LENGTH
        yield file


def read_comment(path: str | os.PathLike[str]) -> str:
    """Return the comment in the metadata of a recording, "" where it has none.

    Raises:
        AudioFileError: as `open_recording`.
    """
    with open_recording(path) as file:
        if not file.format.startswith("WAV"):
            return str(file.comment)
    with Path(path).open("rb") as raw:
        return _wav_comment(raw)


def _inspect(path: Path) -> tuple[str, bool]:
    """Return the kind of a recording and whether it says how long it is, without decoding."""
    try:
        _require_file(path)
        with path.open("rb") as raw:
            kind = _kind_by_first_bytes(raw)
            if kind is None:
                raise AudioFileError(
                    f"'{path}' is not a recording that can be read here. "
                    f"Allowed: {_READABLE_TEXT}; "
                    f"convert others first, for example with: ffmpeg -i INPUT OUTPUT.flac"
                )
            if _is_cut_short(raw, kind):
                raise AudioFileError(
                    f"'{path}' is cut short: it ends before its own structure says. "
                    f"Copy or download it again."
                )
            return kind, kind != "MP3" or _mp3_promises_length(path, raw)
    except OSError as error:
        raise AudioFileError(f"'{path}' cannot be opened: {error.strerror or error}") from None


def _require_file(path: Path) -> None:
    if path.is_dir():
        raise AudioFileError(f"'{path}' is a folder; give one recording")
    if not path.exists():
        raise AudioFileError(f"there is no file '{path}'.{nearest_files(path)}")
    if not path.is_file():
        raise AudioFileError(f"'{path}' is a device or a pipe; give a file")
    if path.stat().st_size == 0:
        raise AudioFileError(f"'{path}' is empty (0 bytes)")
    if any("\ud800" <= character <= "\udfff" for character in str(path)):
        raise AudioFileError(f"the name {str(path)!r} holds bytes that are not UTF-8; rename it")


def _require_allowed(path: str | os.PathLike[str], file: OpenRecording) -> None:
    if file.subtype not in _READABLE.get(file.format, ()):
        raise AudioFileError(
            f"'{path}' is {file.format} with codec {file.subtype}, which is not read here. "
            f"Allowed: {_READABLE_TEXT}."
        )
    if not 1 <= file.channels <= MAX_CHANNELS:
        raise AudioFileError(
            f"'{path}' says it has {file.channels} channels; allowed: 1 to {MAX_CHANNELS}"
        )
    if not MIN_SAMPLE_RATE <= file.samplerate <= MAX_SAMPLE_RATE:
        raise AudioFileError(
            f"'{path}' says its sample rate is {file.samplerate} Hz; "
            f"allowed: {MIN_SAMPLE_RATE} to {MAX_SAMPLE_RATE} Hz"
        )


def _kind_by_first_bytes(file: BinaryIO) -> str | None:
    """Return "WAV", "AIFF", "FLAC", "OGG" or "MP3" by the first bytes, None for anything else.

    Asked before the decoder opens a file, so that its parsers for rare formats are never reached.
    """
    file.seek(0)
    head = file.read(12)
    if head[:4] == b"RIFF" and head[8:] == b"WAVE":
        return "WAV"
    if head[:4] == b"FORM" and head[8:] in (b"AIFF", b"AIFC"):
        return "AIFF"
    for start, name in ((b"fLaC", "FLAC"), (b"OggS", "OGG"), (b"ID3", "MP3")):
        if head.startswith(start):
            return name
    is_mpeg_frame = len(head) == 12 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0
    return "MP3" if is_mpeg_frame else None


def _is_cut_short(file: BinaryIO, kind: str) -> bool:
    """Return whether a WAV, AIFF or Ogg file ends before its own structure says.

    FLAC and MP3 give False: there the count of decoded samples shows it.
    """
    if kind in ("WAV", "AIFF"):
        end = file.seek(0, os.SEEK_END)
        sound = b"data" if kind == "WAV" else b"SSND"
        sizes = (c for c in _chunks(file, kind) if c.name == sound)
        return any(c.n_bytes < _STREAMED_LENGTH and c.start + c.n_bytes > end for c in sizes)
    return kind == "OGG" and not _ends_with_last_ogg_page(file)


def _wav_comment(file: BinaryIO) -> str:
    """Return the comment (`LIST`/`INFO`/`ICMT`) of a WAV file, "" where there is none."""
    for chunk in _chunks(file, "WAV"):
        if chunk.name == b"ICMT" and chunk.n_bytes <= _MAX_COMMENT_BYTES:
            file.seek(chunk.start)
            return file.read(chunk.n_bytes).rstrip(b"\0").decode("utf-8", errors="replace")
    return ""


class _Chunk(NamedTuple):
    """One chunk of a RIFF or AIFF file: its name, and where its data stands."""

    name: bytes
    start: int
    n_bytes: int


def _chunks(file: BinaryIO, kind: str) -> Iterator[_Chunk]:
    return islice(_all_chunks(file, "little" if kind == "WAV" else "big"), _MAX_CHUNKS)


def _all_chunks(file: BinaryIO, byte_order: Literal["little", "big"]) -> Iterator[_Chunk]:
    """Walk the chunks in file order; those inside a LIST of kind INFO as if they stood flat."""
    position = 12
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


def _ends_with_last_ogg_page(file: BinaryIO) -> bool:
    """Return whether the last Ogg page is complete and says that it is the last (RFC 3533, §6)."""
    end = file.seek(0, os.SEEK_END)
    file.seek(max(0, end - 2 * _OGG_PAGE_BYTES))
    tail = file.read()
    page = tail[max(0, tail.rfind(b"OggS")) :]
    if len(page) < 27:
        return False
    n_segments = page[26]
    n_bytes = 27 + n_segments + sum(page[27 : 27 + n_segments])
    return len(page) >= n_bytes and bool(page[5] & _OGG_END_OF_STREAM)


def _mp3_promises_length(path: Path, file: BinaryIO) -> bool:
    """Return whether an MP3 carries a length tag; refuse one that cannot be decoded without.

    Without the tag libsndfile takes the first bit rate for the whole file and stops where that
    would end.
    """
    file.seek(0)
    head = file.read(10)
    start = 0
    if head[:3] == b"ID3":  # its size is four times seven bits
        start = 10 + sum(
            byte << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True)
        )
    file.seek(start)
    first_frame = file.read(200)
    if any(tag in first_frame for tag in (b"Xing", b"Info", b"VBRI")):
        return True
    bit_rates = set(islice(_mpeg_bit_rates(file, start), _MAX_MPEG_FRAMES))
    if len(bit_rates) > 1:
        raise AudioFileError(
            f"'{path}' is an MP3 of changing bit rate that does not say how long it is. "
            f"Add what is missing, without loss, with: ffmpeg -i INPUT.mp3 -c copy OUTPUT.mp3"
        )
    return False


def _mpeg_bit_rates(file: BinaryIO, position: int) -> Iterator[int]:
    """Yield the bit rate of each Layer III frame, in kbit/s, up to what is no frame."""
    while True:
        file.seek(position)
        head = file.read(4)
        if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE6 != 0xE2:
            return
        version, rate, bits = head[1] >> 3 & 3, head[2] >> 2 & 3, head[2] >> 4
        if version not in _MPEG_RATES or rate == 3 or bits in (0, 15):
            return
        kbit_per_s = (_KBIT_1 if version == 3 else _KBIT_2)[bits]
        yield kbit_per_s
        bytes_per_kbit = 144_000 if version == 3 else 72_000  # 1152 or 576 samples, 8 bits a byte
        position += bytes_per_kbit * kbit_per_s // _MPEG_RATES[version][rate] + (head[2] >> 1 & 1)
