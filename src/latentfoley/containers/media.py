"""Recordings in formats that libsndfile does not open, decoded by FFmpeg in a process of its own.

FFmpeg reads nearly everything, and much of that is attacked again and again. So the file is decoded
in a process (`media_decoder.py`) that is bounded in memory and time, is told which demuxer to use
and gets no path; what comes back is samples. PyAV, which carries FFmpeg, is the extra "media".
"""

import json
import os
import subprocess
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path
from threading import Timer
from typing import Any, BinaryIO, Self

import numpy as np
from jaxtyping import Float32

from latentfoley.containers.libsndfile import UNKNOWN_LENGTH, StreamHead, skip_by_decoding
from latentfoley.errors import AudioFileError, RecordingWarning, printable, quoted

Block = Float32[np.ndarray, "N C"]

# How FFmpeg calls the demuxer of each kind.
DEMUXERS = {
    "MPEG-4": "mov",
    "WMA": "asf",
    "Matroska": "matroska",
    "AMR": "amr",
    "AU": "au",
    "CAF": "caf",
    "W64": "w64",
    "RF64": "wav",
    "WAV": "wav",
    "AIFF": "aiff",
    "OGG": "ogg",
    "ADTS": "aac",
    "MP2": "mp3",
    "WavPack": "wv",
    "APE": "ape",
    "TTA": "tta",
}
READABLE_TEXT = "with the extra 'media' also AAC and ALAC (m4a), WMA, WebM, AMR, AU, CAF, W64, RF64"

_DECODER = Path(__file__).with_name("media_decoder.py")
_MAX_BYTES = 1 << 30  # of address space
_MAX_CPU_S = 600  # a day of AAC takes four minutes
_MAX_WAIT_S = 60.0  # for the next block
_MAX_MESSAGE_BYTES = 1 << 26
# A container rounds its length, counts padding or leaves out what a decoder needs to begin.
_SLACK_S, _SLACK = 0.25, 0.01
_NO_LENGTH = ("AMR", "ADTS", "MP2")  # FFmpeg estimates it by the first frames


class MediaRecording:
    """An open recording that another process decodes; see `SoundfileRecording` for the attributes.

    Its length is known at the end: what the container says is only compared with it.
    """

    def __init__(self, path: object, file: BinaryIO, kind: str) -> None:
        """Start decoding.

        Raises:
            AudioFileError: PyAV is not installed, or it is no recording that it can decode.
        """
        self._path, self._kind = path, kind
        require_media(path, kind)
        self._process = _start(file, DEMUXERS[kind])
        self._waiting, self._n_decoded, self._ended = bytearray(), 0, False
        try:
            letter, body = self._receive()
            if letter != b"H":
                raise self._refusal(json.loads(body)["reason"])
            head = json.loads(body)
        except BaseException:
            self.__exit__()
            raise
        self.samplerate, self.channels = head["sample_rate"], head["channels"]
        self.format, self.subtype = kind, head["codec"].upper()
        self.comment = head["comment"]
        self.heads: list[StreamHead] = []  # what changes midway is refused by the decoder
        self._promised_s = None if kind in _NO_LENGTH else head["duration_s"]
        self.frames, self.promises_length, self.slack = UNKNOWN_LENGTH, False, 0
        if head["n_tracks"] > 1:
            warnings.warn(
                f"{quoted(path)} holds {head['n_tracks']} sound tracks; one is read",
                RecordingWarning,
                stacklevel=2,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()

    def read(self, n_samples: int) -> Block:
        """Return the next samples, at most `n_samples` per channel; none at the end.

        Raises:
            AudioFileError: the recording is damaged or cut short, or takes too much to decode.
        """
        n_bytes = 4 * self.channels * n_samples
        while len(self._waiting) < n_bytes and not self._ended:
            self._take(*self._receive())
        taken = bytes(self._waiting[:n_bytes])
        del self._waiting[:n_bytes]
        block = np.frombuffer(taken, np.float32).reshape(-1, self.channels)
        self._n_decoded += len(block)
        if self._ended and not self._waiting:
            self._require_promised()
        return block

    def skip(self, n_samples: int) -> None:
        """Go forward by decoding."""
        skip_by_decoding(self, n_samples)

    def _take(self, letter: bytes, body: bytes) -> None:
        if letter == b"B":
            self._waiting += body
            return
        reason = json.loads(body)["reason"]
        if reason:
            raise self._refusal(reason)
        self._ended = True

    def _receive(self) -> tuple[bytes, bytes]:
        """Return the next message; end the process if it takes too long."""
        output = self._process.stdout
        assert output is not None
        watch = Timer(_MAX_WAIT_S, self._process.kill)
        watch.start()
        try:
            head = output.read(5)
            n_bytes = int.from_bytes(head[1:], "little")
            body = output.read(n_bytes) if n_bytes <= _MAX_MESSAGE_BYTES else b""
        finally:
            watch.cancel()
        if len(head) < 5 or len(body) < n_bytes:
            raise self._refusal("too much")
        return head[:1], body

    def _refusal(self, reason: str) -> AudioFileError:
        name = f"{quoted(self._path)} is {self._kind}"
        if reason == "no sound":
            return AudioFileError(f"{name} without a sound track")
        if reason == "no samples":
            return AudioFileError(f"{quoted(self._path)} holds no samples")
        if reason.startswith("codec "):
            return AudioFileError(f"{name} with {printable(reason)}, which is not read here")
        if reason == "damaged":
            return AudioFileError(f"{name} and cannot be decoded: it is damaged or cut short")
        return AudioFileError(
            f"{name} and cannot be decoded: its decoder failed, took more than "
            f"{_MAX_CPU_S} s of computing or {_MAX_BYTES >> 30} GiB of memory"
        )

    def _require_promised(self) -> None:
        decoded_s = self._n_decoded / self.samplerate
        promised_s = self._promised_s or 0.0
        if decoded_s + max(_SLACK_S, _SLACK * promised_s) < promised_s:
            raise AudioFileError(
                f"{quoted(self._path)} is cut short: {promised_s:,.2f} s are promised, "
                f"{decoded_s:,.2f} s can be decoded. Copy or download it again."
            )


def require_media(path: object, kind: str) -> None:
    """Refuse a recording for which an extra is needed that is not installed.

    Raises:
        AudioFileError: names the extra.
    """
    if find_spec("av") is None:
        raise AudioFileError(
            f"{quoted(path)} is {kind}, which is read with an extra: "
            f"pip install 'latentfoley[media]'. Or convert it: ffmpeg -i INPUT OUTPUT.flac"
        )


def _start(file: BinaryIO, demuxer: str) -> "subprocess.Popen[bytes]":
    file.seek(0)
    os.lseek(file.fileno(), 0, os.SEEK_SET)
    command: list[Any] = [sys.executable, "-P", _DECODER, demuxer, _MAX_BYTES, _MAX_CPU_S]
    return subprocess.Popen(
        [str(part) for part in command],
        stdin=file.fileno(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
