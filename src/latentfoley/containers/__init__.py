"""Opening a recording: what a file is, whether it is whole, and its comment.

The first bytes decide what a file is before a decoder sees it (`kinds.py`). What it says of itself
is compared with the bytes that are there (`plan.py`, with one file per container). Common formats
are decoded by libsndfile, the others by FFmpeg in a process of its own (`media.py`).

It does not know about samples: that is `audio.py`.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import soundfile

from latentfoley.containers.kinds import find_kind
from latentfoley.containers.libsndfile import SoundfileRecording
from latentfoley.containers.media import READABLE_TEXT, MediaRecording
from latentfoley.containers.plan import plan_streams, require_whole
from latentfoley.containers.riff import read_wav_comment
from latentfoley.containers.splice import Span
from latentfoley.errors import AudioFileError, nearest_files, quoted

MIN_SAMPLE_RATE, MAX_SAMPLE_RATE = 1_000, 768_000
MAX_CHANNELS = 64  # seventh-order ambisonics

OpenRecording = SoundfileRecording | MediaRecording

_PCM = {"PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"}
_READABLE = {
    "WAV": _PCM,
    "WAVEX": _PCM,
    "AIFF": _PCM,
    "FLAC": _PCM,
    "OGG": {"VORBIS", "OPUS"},
    "MP3": {"MPEG_LAYER_III"},
}
# What WAV and AIFF hold beside these and FFmpeg reads.
_FOREIGN_CODECS = {"ULAW", "ALAW", "IMA_ADPCM", "MS_ADPCM", "GSM610"}
_READABLE_TEXT = f"WAV and AIFF (PCM or float), FLAC, Ogg Vorbis, Opus, MP3; {READABLE_TEXT}"


@contextmanager
def open_recording(path: str | os.PathLike[str]) -> Iterator[OpenRecording]:
    """Open a recording for decoding from its start, block by block.

    Raises:
        AudioFileError: no such file, a folder, empty, not a recording, cut short, a codec, channel
            count (1 to 64) or sample rate (1 to 768 kHz) that is not allowed, parts that differ in
            these, or a format for which the extra "media" is needed.

    Warns:
        RecordingWarning: it can be read, though something in it is wrong.
    """
    with open_file(Path(path)) as file:
        n_bytes = file.seek(0, os.SEEK_END)
        kind, start = find_kind(file, n_bytes)
        if kind is None:
            raise AudioFileError(
                f"{quoted(path)} is not a recording that can be read here. "
                f"Allowed: {_READABLE_TEXT}; "
                f"convert others first, for example with: ffmpeg -i INPUT OUTPUT.flac"
            )
        with _open_kind(path, file, kind, Span(start, n_bytes)) as recording:
            _require_allowed(path, recording)
            yield recording


def read_comment(path: str | os.PathLike[str]) -> str:
    """Return the comment in the metadata of a recording, "" where it has none.

    Raises:
        AudioFileError: as `open_recording`.
    """
    with open_recording(path) as file:
        if not file.format.startswith("WAV"):
            return file.comment
    with Path(path).open("rb") as raw:
        return read_wav_comment(raw)


@contextmanager
def open_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file that is there and not empty, for reading its bytes.

    Raises:
        AudioFileError: it is missing (with the nearest name), empty, no file, or closed to us.
    """
    try:
        _require_file(path)
        file = path.open("rb")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise AudioFileError(f"{quoted(path)} cannot be opened: {reason}") from None
    with file:
        yield file


def _require_file(path: Path) -> None:
    if path.is_dir():
        raise AudioFileError(f"{quoted(path)} is a folder; give one recording")
    if not path.exists():
        raise AudioFileError(f"there is no file {quoted(path)}.{nearest_files(path)}")
    if not path.is_file():
        raise AudioFileError(f"{quoted(path)} is a device or a pipe; give a file")
    if path.stat().st_size == 0:
        raise AudioFileError(f"{quoted(path)} is empty (0 bytes)")


def _open_kind(
    path: str | os.PathLike[str], file: BinaryIO, kind: str, span: Span
) -> OpenRecording:
    try:
        if kind not in _READABLE:
            require_whole(path, file, kind, span.end)
            return MediaRecording(path, file, kind)
        streams = plan_streams(path, file, kind, span)
        if streams is None:
            return MediaRecording(path, file, kind)
        recording = SoundfileRecording(file, streams, is_mp3=kind == "MP3")
    except OSError as error:
        raise AudioFileError(f"{quoted(path)} cannot be read: {error.strerror or error}") from None
    except soundfile.SoundFileError:
        raise AudioFileError(
            f"{quoted(path)} begins like {kind} but cannot be decoded: it is damaged, cut short or "
            f"holds no samples. Allowed: {_READABLE_TEXT}."
        ) from None
    if recording.subtype in _READABLE.get(recording.format, ()):
        return recording
    with recording:
        if recording.subtype in _FOREIGN_CODECS:
            return MediaRecording(path, file, kind)
        raise AudioFileError(
            f"{quoted(path)} is {recording.format} with codec {recording.subtype}, which is not "
            f"read here. Allowed: {_READABLE_TEXT}."
        )


def _require_allowed(path: str | os.PathLike[str], recording: OpenRecording) -> None:
    if not 1 <= recording.channels <= MAX_CHANNELS:
        raise AudioFileError(
            f"{quoted(path)} says it has {recording.channels} channels; "
            f"allowed: 1 to {MAX_CHANNELS}"
        )
    if not MIN_SAMPLE_RATE <= recording.samplerate <= MAX_SAMPLE_RATE:
        raise AudioFileError(
            f"{quoted(path)} says its sample rate is {recording.samplerate} Hz; "
            f"allowed: {MIN_SAMPLE_RATE} to {MAX_SAMPLE_RATE} Hz"
        )
    _require_one_kind(path, recording)


def _require_one_kind(path: str | os.PathLike[str], recording: OpenRecording) -> None:
    """Refuse a file whose parts differ: as one sound it has no rate or number of channels."""
    for head in recording.heads:
        if (head.sample_rate, head.channels) != (recording.samplerate, recording.channels):
            raise AudioFileError(
                f"{quoted(path)} is joined from recordings that differ: "
                f"{recording.samplerate} Hz with {recording.channels} channels, then "
                f"{head.sample_rate} Hz with {head.channels}. Take it apart, or convert it as a "
                f"whole, for example with: ffmpeg -i INPUT OUTPUT.flac"
            )
