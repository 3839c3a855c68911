"""A file's bytes → the streams to decode, each with a header that tells the truth.

What a file says of itself is compared here with the bytes that are there. What can be read is read
whole; what is missing is an error; what is passed over is a warning. Nothing is decoded.
"""

import warnings
from typing import BinaryIO

from latentfoley.containers import flac, mpeg, ogg, riff
from latentfoley.containers.foreign import claimed_end
from latentfoley.containers.splice import Piece, Span
from latentfoley.errors import AudioFileError, RecordingWarning, quoted

Streams = list[list[Piece]]

_NO_SOUND_BYTES = 1024  # so few that nothing explains are the notes of some program
_DECODED_IN_OGG = (["VORBIS"], ["OPUS"])


def plan_streams(path: object, file: BinaryIO, kind: str, span: Span) -> Streams | None:
    """Return the streams of a recording, None where another decoder than libsndfile is needed.

    Args:
        path: its name, for messages.
        file: its bytes.
        kind: "WAV", "AIFF", "FLAC", "OGG" or "MP3".
        span: where in the file it stands.

    Raises:
        AudioFileError: it is cut short, or holds nothing.

    Warns:
        RecordingWarning: its header is wrong, or there are bytes in it that nothing explains.
    """
    if kind == "FLAC":
        return [stream.pieces for stream in flac.find_streams(file, span.start, span.end)]
    if kind == "OGG":
        return _plan_ogg(path, file, span)
    if kind == "MP3":
        return _plan_mp3(path, file, span)
    files = riff.find_files(file, kind, span.start, span.end)
    return [_plan_riff(path, file, kind, one) for one in files]


def _plan_ogg(path: object, file: BinaryIO, span: Span) -> Streams | None:
    links = ogg.find_links(file, span.end)
    if not links or not all(link.is_whole for link in links):
        raise cut_short(path)
    if any(link.codecs not in _DECODED_IN_OGG for link in links):
        return None
    return [[link.span] for link in links]


def _plan_mp3(path: object, file: BinaryIO, span: Span) -> Streams:
    streams = mpeg.find_streams(file, span.end)
    if not streams:
        raise AudioFileError(
            f"{quoted(path)} begins like MP3 but cannot be decoded: it is damaged, cut short or "
            f"holds no sound"
        )
    if any(stream.is_cut for stream in streams):
        raise cut_short(path)
    n_strange = sum(stream.n_strange for stream in streams)
    if n_strange:
        _warn(f"{quoted(path)} is damaged: {n_strange:,} bytes in it are no MP3; they are left out")
    if streams[-1].n_cut:
        _warn(f"{quoted(path)} is cut short in its last frame, which is left out")
    file.seek(0)
    names = Span(0, mpeg.id3_bytes(file.read(10)))  # the comment is in there
    first = streams[0]
    if len(streams) == 1 and first.is_plain and not n_strange and first.start == names.end:
        return [[Span(0, span.end)]]
    pieces = [stream.pieces for stream in streams]
    pieces[0].insert(0, names)
    return pieces


def _plan_riff(path: object, file: BinaryIO, kind: str, span: Span) -> list[Piece]:
    """Return a WAV or AIFF file, its length field put right where it is wrong."""
    sound = riff.find_sound(file, kind, span)
    if sound is None or sound.n_claimed is None:
        return [span]
    if sound.n_claimed <= sound.n_there:
        n_left = riff.count_unexplained(file, kind, sound)
        if kind == "WAV" and n_left and sound.n_claimed == 0:
            return _with_length(path, span, sound)
        if n_left > _NO_SOUND_BYTES:
            _warn(
                f"{quoted(path)}: its header says the sound ends {n_left:,} bytes before the file "
                f"does; they are left out"
            )
        return [span]
    # A program that counts its header as sound is wrong by that; any more is missing.
    if kind == "WAV" and sound.is_file_whole and sound.n_claimed <= span.end - span.start:
        return _with_length(path, span, sound)
    raise cut_short(path)


def _with_length(path: object, span: Span, sound: riff.Sound) -> list[Piece]:
    """Return a WAV file with a length field that counts all that is there, and say so."""
    _warn(
        f"{quoted(path)}: its header says the sound takes {sound.n_claimed:,} bytes; "
        f"all {sound.n_there:,} that are there are read"
    )
    length = min(sound.n_there, 2**32 - 1).to_bytes(4, "little")
    return [Span(span.start, sound.start - 4), length, Span(sound.start, span.end)]


def require_whole(path: object, file: BinaryIO, kind: str, n_bytes: int) -> None:
    """Refuse a file for FFmpeg that is shorter than it says.

    Raises:
        AudioFileError: it is cut short.
    """
    if claimed_end(file, kind) > n_bytes:
        raise cut_short(path)


def cut_short(path: object) -> AudioFileError:
    """Return the error for a file that ends before its own structure says."""
    return AudioFileError(
        f"{quoted(path)} is cut short: it ends before its own structure says. "
        f"Copy or download it again."
    )


def _warn(message: str) -> None:
    warnings.warn(message, RecordingWarning, stacklevel=2)
