"""Decoding by libsndfile, straight on from the start, through one stream after the other.

libsndfile stops at the length that a header gives and plays one stream of several, so it is given
streams whose headers tell the truth (`plan.py`). It is never asked to seek in Ogg and MP3: in a
damaged Ogg Vorbis file that ends the process, in an MP3 it drops what a frame needs of others.
"""

from contextlib import nullcontext
from typing import BinaryIO, NamedTuple, Protocol, Self

import numpy as np
import soundfile
from jaxtyping import Float32

from latentfoley.containers.splice import Piece, Splice
from latentfoley.containers.stderr import decoder_messages_dropped

Block = Float32[np.ndarray, "N C"]

UNKNOWN_LENGTH = 2**63 - 1  # libsndfile's count for a stream whose header gives none

_SEEKABLE = ("WAV", "WAVEX", "AIFF", "FLAC")
_SKIPPED_SAMPLES = 1 << 18
# Encoders disagree on whether the frame with the length tag and the padding count as sound.
_MP3_SLACK_SAMPLES = 2 * 1152


class _Decoder(soundfile.SoundFile):
    """An open stream that decodes straight on from block to block.

    `SoundFile.read` seeks to where it already is after every block if the file is seekable. In an
    MP3 that drops the bit reservoir, so that samples after each seam are wrong, and at the end of a
    FLAC whose header promises too much it raises and the last block is lost.
    """

    def seekable(self) -> bool:
        return False


class StreamHead(NamedTuple):
    """What the header of one stream says."""

    sample_rate: int
    channels: int
    n_samples: int


class _Readable(Protocol):
    def read(self, n_samples: int) -> Block: ...


def skip_by_decoding(recording: _Readable, n_samples: int) -> None:
    """Read and drop so many samples, or all there are."""
    while n_samples > 0:
        block = recording.read(min(_SKIPPED_SAMPLES, n_samples))
        if len(block) == 0:
            return
        n_samples -= len(block)


class SoundfileRecording:
    """An open recording: one stream, or several that play one after the other.

    Attributes:
        samplerate: in Hz.
        channels: how many.
        format, subtype: container and codec, as libsndfile names them.
        comment: of the first stream, "" where there is none.
        frames: samples per channel of all streams.
        promises_length: whether `frames` is what the file says; else it is not known.
        slack: how many samples fewer are no fault.
        heads: of the streams.
    """

    def __init__(self, file: BinaryIO, streams: list[list[Piece]], *, is_mp3: bool) -> None:
        """Open the streams of a file.

        Raises:
            soundfile.SoundFileError: libsndfile cannot open one of them.
        """
        self._file, self._streams, self._next = file, streams, 1
        self._quiet = decoder_messages_dropped if is_mp3 else nullcontext
        self.heads = [self._read_head(pieces) for pieces in streams[1:]]
        self._decoder = first = self._open(streams[0])
        self.heads.insert(0, StreamHead(first.samplerate, first.channels, first.frames))
        self.samplerate, self.channels = first.samplerate, first.channels
        self.format, self.subtype, self.comment = first.format, first.subtype, str(first.comment)
        self.frames = min(sum(head.n_samples for head in self.heads), UNKNOWN_LENGTH)
        self.promises_length = self.frames != UNKNOWN_LENGTH
        self.slack = _MP3_SLACK_SAMPLES * len(streams) if is_mp3 else 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._decoder.close()

    def read(self, n_samples: int) -> Block:
        """Return the next samples, at most `n_samples` per channel; none at the end.

        Raises:
            soundfile.SoundFileError: they cannot be decoded.
        """
        with self._quiet():
            while True:
                block: Block = self._decoder.read(n_samples, dtype="float32", always_2d=True)
                if len(block) or self._next == len(self._streams):
                    return block
                self._decoder.close()
                self._decoder = self._open(self._streams[self._next])
                self._next += 1

    def skip(self, n_samples: int) -> None:
        """Go forward, by decoding where seeking is not safe.

        Raises:
            soundfile.SoundFileError: what is passed over cannot be decoded.
        """
        if self.format in _SEEKABLE and len(self._streams) == 1:
            self._decoder.seek(n_samples)
            return
        skip_by_decoding(self, n_samples)

    def _open(self, pieces: list[Piece]) -> _Decoder:
        with self._quiet():
            return _Decoder(Splice(self._file, pieces))

    def _read_head(self, pieces: list[Piece]) -> StreamHead:
        with self._open(pieces) as decoder:
            return StreamHead(decoder.samplerate, decoder.channels, decoder.frames)
