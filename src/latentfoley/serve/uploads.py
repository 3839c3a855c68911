"""Uploaded recordings → files in the folder of a job, each read to its end before it is accepted.

A name is kept for the record in the result, without folders and without what no file may be called.
Lengths are counted while decoding: a small file can hold hours.
"""

import os
import unicodedata
from pathlib import Path

from starlette.datastructures import UploadFile

from latentfoley.audio import stream_audio
from latentfoley.errors import AudioFileError

_MAX_NAME_BYTES = 100
_CHUNK_BYTES = 1 << 20


def save(upload: UploadFile, folder: Path) -> Path:
    """Write an upload into a folder of its own and return the file.

    Raises:
        OSError: the disk refuses.
    """
    folder.mkdir(parents=True)
    path = folder / clean_name(upload.filename or "")
    with path.open("xb") as file:
        while chunk := upload.file.read(_CHUNK_BYTES):
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    return path


def measure(path: Path, max_s: float) -> float:
    """Decode a recording to its end and return its length in seconds.

    Raises:
        AudioFileError: it is no recording, is damaged, or longer than `max_s`; its folder is not
            named.
    """
    duration_s = 0.0
    try:
        for rate, block in stream_audio(path, max_duration_s=max_s):
            duration_s += len(block) / rate
    except AudioFileError as error:
        raise AudioFileError(without_folders(str(error), path.parent.parent)) from None
    return duration_s


def without_folders(text: str, folder: Path) -> str:
    """Return a message in which recordings are called what the client calls them."""
    for part in ("source", "other", "audio_prompt"):
        text = text.replace(f"{folder / part}{os.sep}", "")
    return text.replace(f"{folder}{os.sep}", "")


def clean_name(name: str) -> str:
    """Return a file's name without folders, control characters and dots at its start.

    Example:
        >>> clean_name("../../etc/pass\\nwd.wav")
        'passwd.wav'
    """
    last = name.replace("\\", "/").rpartition("/")[2]
    printable = "".join(c for c in unicodedata.normalize("NFC", last) if c.isprintable())
    stem, dot, suffix = printable.lstrip(". ").rpartition(".")
    if not dot or len(suffix) > 8:
        stem, suffix = stem + dot + suffix, ""
    kept = stem.encode(errors="ignore")[:_MAX_NAME_BYTES].decode(errors="ignore")
    suffix = suffix.encode(errors="ignore").decode()
    whole = f"{kept or 'recording'}.{suffix}" if suffix else kept or "recording"
    # soundfile takes what is called .raw for samples without a header.
    return f"{whole}.wav" if suffix.lower() == "raw" else whole
