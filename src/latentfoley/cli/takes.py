"""The page of all takes of a command: one file to be copied or served, with everything inside."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from latentfoley.cli.info import describe

if TYPE_CHECKING:
    from latentfoley.clip import Clip

Draw = Callable[["Clip", Path], object]

_MEDIA_TYPES = {
    ".wav": "audio/wav",
    ".flac": "audio/flac",
    ".ogg": "audio/ogg",
    ".mp3": "audio/mpeg",
}


def take(clip: "Clip", path: Path, words: str, draw: Draw) -> dict[str, Any]:
    """Return what the page shows of a clip.

    Args:
        clip: as it was made.
        path: of its file, which is there.
        words: its length, loudness and so on.
        draw: writes its picture.
    """
    with TemporaryDirectory() as folder:
        picture = Path(folder, "take.png")
        draw(clip, picture)
        drawn = picture.read_bytes()
    return {
        "title": clip.provenance.title,
        "file": path.name,
        "words": words,
        "sound": path.read_bytes(),
        "media_type": _MEDIA_TYPES[path.suffix.lower()],
        "picture": drawn,
        "about": describe(clip.provenance),
    }


def write_takes(page: Path, takes: list[dict[str, Any]]) -> None:
    """Write the page whole or not at all.

    Raises:
        InputError: the place cannot be written to.
    """
    from latentfoley.webpage import render, write_page

    title = f"{len(takes)} {'take' if len(takes) == 1 else 'takes'}"
    write_page(page, render("takes.html", title=title, takes=takes))
