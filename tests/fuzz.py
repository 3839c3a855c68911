"""Damaged recordings without end: whatever is in a file, reading it ends in samples or a sentence.

    python tests/fuzz.py --minutes 60

A worker process damages recordings of every format, by a seed for each, and reads them whole, in
part and for their comment. A process that is ended by a signal, an error that is none of ours, more
than `MAX_BYTES` of memory or `MAX_WAIT_S` without an answer is a failure; its file is kept.
"""

import argparse
import io
import random
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

MAX_BYTES = 1 << 30
MAX_WAIT_S = 60.0
MAX_FAILURES = 20
SOUND_S = 0.6
FORMATS = {
    "a.wav": {"format": "WAV", "subtype": "PCM_16"},
    "f.wav": {"format": "WAV", "subtype": "FLOAT"},
    "x.wav": {"format": "WAVEX", "subtype": "PCM_24"},
    "a.aiff": {"format": "AIFF", "subtype": "PCM_16"},
    "a.flac": {"format": "FLAC", "subtype": "PCM_16"},
    "a.ogg": {"format": "OGG", "subtype": "VORBIS"},
    "o.ogg": {"format": "OGG", "subtype": "OPUS"},
    "c.mp3": {"format": "MP3", "bitrate_mode": "CONSTANT", "compression_level": 0.5},
    "v.mp3": {"format": "MP3", "bitrate_mode": "VARIABLE", "compression_level": 0.5},
}
# FFmpeg has a process of its own, which costs half a second: few of them are tried.
FOREIGN = ("AU", "CAF", "W64", "RF64")
FOREIGN_SHARE = 0.005


def encode() -> dict[str, bytes]:
    """Return a short recording in every format, alone and joined."""
    rng = np.random.default_rng(0)
    samples = (0.2 * rng.standard_normal((int(16_000 * SOUND_S), 2))).astype(np.float32)
    files = {}
    for name, options in FORMATS.items():
        for channels in (1, 2):
            buffer = io.BytesIO()
            soundfile.write(buffer, samples[:, :channels], 16_000, **options)
            files[f"{channels}{name}"] = buffer.getvalue()
    for kind in FOREIGN:
        buffer = io.BytesIO()
        soundfile.write(buffer, samples, 16_000, format=kind, subtype="PCM_16")
        files[f"foreign.{kind.lower()}"] = buffer.getvalue()
    id3 = b"ID3\x04\0\0\0\0\x02\0" + bytes(256)
    joined = {f"joined-{name}": 2 * data for name, data in files.items() if "wav" not in name}
    named = {f"id3-{name}": id3 + files[name] for name in ("1a.flac", "1c.mp3", "1v.mp3")}
    return {**files, **joined, **named}


def damage(files: dict[str, bytes], seed: int) -> tuple[str, bytes]:
    """Return a recording with one to eight things done to it."""
    rng = random.Random(seed)
    foreign = rng.random() < FOREIGN_SHARE
    name = rng.choice([name for name in files if ("foreign" in name) == foreign])
    data = bytearray(files[name])
    for _ in range(rng.randint(1, 8)):
        if len(data) < 64:
            break
        # Half of the places are in the first bytes, where headers are.
        place = rng.randrange(min(len(data), 512) if rng.random() < 0.5 else len(data))
        n_bytes = rng.choice((1, 2, 4, 8, 64, 1000))
        kind = rng.randrange(7)
        if kind == 0:
            data[place] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data[place : place + n_bytes] = rng.randbytes(min(n_bytes, len(data) - place))
        elif kind == 2:
            value = rng.choice((b"\0", b"\xff", b"\x7f", b"\x80"))
            data[place : place + n_bytes] = value * min(n_bytes, len(data) - place)
        elif kind == 3:
            del data[place : place + n_bytes]
        elif kind == 4:
            data[place:place] = data[place : place + n_bytes] * rng.randint(1, 3)
        elif kind == 5:
            del data[max(64, place) :]
        else:
            other = files[rng.choice(list(files))]
            data[place:place] = other[rng.randrange(len(other)) :][:n_bytes]
    return name, bytes(data)


def read(path: Path, seed: int) -> None:
    """Read a file in the ways in which files are read; what is ours to say of it is no failure."""
    from latentfoley.audio import read_audio, stream_audio
    from latentfoley.containers import read_comment
    from latentfoley.errors import LatentFoleyError

    rng = random.Random(seed)
    start_s = rng.choice((0.0, 0.1, 0.3, SOUND_S))
    for call in (
        lambda: read_audio(path, max_duration_s=60.0),
        lambda: read_audio(path, sample_rate=None, start_s=start_s, duration_s=0.2),
        lambda: sum(len(block) for _, block in stream_audio(path, max_duration_s=60.0)),
        lambda: read_comment(path),
    ):
        try:
            call()
        except LatentFoleyError as error:
            if not str(error).isprintable():
                raise AssertionError(f"control characters: {error!r}") from None


def work(folder: Path, first: int) -> None:
    """Damage and read for ever; say each seed before it is tried."""
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (4 * MAX_BYTES, 4 * MAX_BYTES))
    warnings.simplefilter("ignore")
    files = encode()
    seed = first
    while True:
        name, data = damage(files, seed)
        path = folder / name
        path.write_bytes(data)
        sys.stdout.write(f"{seed} {name}\n")
        sys.stdout.flush()
        read(path, seed)
        if (peak := peak_bytes()) > MAX_BYTES:
            raise MemoryError(f"{peak:,} bytes")
        seed += 1


def peak_bytes() -> int:
    """Return the most memory that this program has held. Linux.

    Not `ru_maxrss`: a program inherits that from the process it was forked from, whatever it held.
    """
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


def fuzz(seconds: float, folder: Path, first: int = 0) -> tuple[int, list[str]]:
    """Run workers for so long, one after the other; return how many files, and each failure."""
    n_files, failures, deadline = 0, [], time.monotonic() + seconds
    while time.monotonic() < deadline and len(failures) < MAX_FAILURES:
        last, reason = _run_worker(folder, first, deadline)
        n_files += last + 1 - first
        if time.monotonic() < deadline:
            failures.append(f"seed {last}: {reason}")
        first = last + 1
    return n_files, failures


def _run_worker(folder: Path, first: int, deadline: float) -> tuple[int, str]:
    """Run one worker until it fails or time is up; return its last seed, and how it ended."""
    command = [sys.executable, __file__, "--work", str(folder), "--first", str(first)]
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as worker,
    ):
        last = first - 1
        for line in _lines(worker, deadline):
            last = int(line.split()[0])
        code = worker.wait()
        errors.seek(0)
        said = errors.read().strip().splitlines()
    return last, f"exit {code}: {said[-1] if said else 'no message'}"


def _lines(worker: "subprocess.Popen[str]", deadline: float) -> Iterator[str]:
    """Yield what a worker says; end it at the deadline, or where it says nothing for too long."""
    assert worker.stdout is not None
    while time.monotonic() < deadline:
        wait_s = min(MAX_WAIT_S, max(0.01, deadline - time.monotonic()))
        watch = threading.Timer(wait_s, worker.kill)
        watch.start()
        line = worker.stdout.readline()
        watch.cancel()
        if not line:
            return
        yield line
    worker.kill()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--keep", type=Path, default=Path("build/fuzz"), help="where failures go")
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options.work, options.first)
    with tempfile.TemporaryDirectory() as folder:
        n_files, failures = fuzz(60 * options.minutes, Path(folder), options.first)
    files = encode()
    for failure in failures:
        seed = int(failure.split()[1].rstrip(":"))
        name, data = damage(files, seed)
        options.keep.mkdir(parents=True, exist_ok=True)
        (options.keep / f"{seed}-{name}").write_bytes(data)
    sys.stdout.write("\n".join([f"{n_files:,} files read", *failures, ""]))
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
