"""FFmpeg's side of `media.py`: a program of its own, so that a hostile file can only end itself.

    python media_decoder.py DEMUXER MAX_BYTES MAX_CPU_S < FILE > BLOCKS

It reads the file from standard input and has no name of any other. It answers in messages: a
letter, a length in four bytes, and as many bytes. "H" is the head, in JSON; "B" a block of
interleaved float32 samples; "E" the end, in JSON, with the reason where it came too soon. It
imports nothing of this package.
"""

import json
import os
import sys
from collections.abc import Iterator
from typing import Any

# Audio codecs that people's files have; the rest of FFmpeg's parsers is never reached.
_CODECS = {
    *("aac", "aac_latm", "alac", "ac3", "eac3", "mp2", "mp3", "mp3float", "wmav1", "wmav2"),
    *("wmapro", "wmalossless", "opus", "libopus", "vorbis", "speex", "libspeex", "flac"),
    *("wavpack", "tta", "ape", "amrnb", "amrwb", "gsm", "gsm_ms", "adpcm_ms", "adpcm_ima_wav"),
    "adpcm_ima_qt",
}


class _RefusedError(Exception):
    """The file holds what is not read here."""


def main(demuxer: str, max_bytes: int, max_cpu_s: int) -> None:
    """Decode standard input to standard output."""
    import av

    _limit(max_bytes, max_cpu_s)
    av.logging.set_level(None)
    try:
        with os.fdopen(0, "rb") as file, av.open(file, format=demuxer) as container:
            _decode(av, container)
    except _RefusedError as refused:
        _send_json("E", {"reason": str(refused)})
    except (av.FFmpegError, ValueError, EOFError, OSError):
        _send_json("E", {"reason": "damaged"})
    except MemoryError:
        _send_json("E", {"reason": "too large"})


def _limit(max_bytes: int, max_cpu_s: int) -> None:
    """Bound what this process can take, where the system has such limits."""
    try:
        import resource
    except ImportError:  # Windows
        return
    for kind, value in ((resource.RLIMIT_AS, max_bytes), (resource.RLIMIT_CPU, max_cpu_s)):
        resource.setrlimit(kind, (value, value))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _decode(av: Any, container: Any) -> None:
    tracks = container.streams.audio
    if not tracks:
        raise _RefusedError("no sound")
    track = container.streams.best("audio") or tracks[0]
    codec = track.codec_context.name
    if codec not in _CODECS and not codec.startswith("pcm_"):
        raise _RefusedError(f"codec {codec}")
    track.codec_context.thread_count = 1
    frames = _frames(av, container, track)
    first = next(frames, None)
    if first is None:
        raise _RefusedError("no samples")
    length = track.duration * track.time_base if track.duration else None
    if length is None and container.duration:
        length = container.duration / av.time_base
    _send_json(
        "H",
        {
            "sample_rate": first.sample_rate,
            "channels": first.layout.nb_channels,
            "codec": codec,
            "duration_s": None if length is None else float(length),
            "n_tracks": len(tracks),
            "comment": str(container.metadata.get("comment", "")),
        },
    )
    _send_block(first)
    for frame in frames:
        _send_block(frame)
    _send_json("E", {"reason": ""})


def _frames(av: Any, container: Any, track: Any) -> Iterator[Any]:
    """Yield frames of interleaved float32, of one rate and layout."""
    resampler = av.AudioResampler(format="flt")
    for frame in container.decode(track):
        frame.pts = None  # gaps in time are not filled
        yield from resampler.resample(frame)
    yield from resampler.resample(None)


def _send_block(frame: Any) -> None:
    n_bytes = frame.samples * frame.layout.nb_channels * 4  # planes are padded
    _send("B", bytes(frame.planes[0])[:n_bytes])


def _send_json(kind: str, content: dict[str, Any]) -> None:
    _send(kind, json.dumps(content).encode())


def _send(kind: str, body: bytes) -> None:
    sys.stdout.buffer.write(kind.encode() + len(body).to_bytes(4, "little") + body)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
