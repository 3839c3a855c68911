"""A file of captions → what a model is asked for, and what each clip will be called."""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from latentfoley.data.metadata import metadata_of, path_of
from latentfoley.data.tables import SUFFIXES as TABLES
from latentfoley.data.tables import read_rows
from latentfoley.errors import InputError, nearest_files
from latentfoley.evaluation.sets.clips import SUFFIXES, Clip, ClipSet


class Caption(NamedTuple):
    """One clip to make: `key` is its name, as a path without suffix."""

    key: str
    text: str


def read_captions(path: Path) -> list[Caption]:
    """Return the captions of a .txt (one a line) or of a table (.csv, .tsv, .jsonl).

    A table has a column of captions and may have one of files, by any of the names that tables of
    this field use (`caption`, `prompt`, `text` …; `path`, `file_name` …). A clip is called by its
    file, so that it is a pair with the reference of that name, else by its number. Of several rows
    for a file the first counts.

    Raises:
        InputError: no such file, another suffix, no captions, or a row that cannot be used.
    """
    if not path.is_file():
        raise InputError(f"there is no file '{path}'.{nearest_files(path)}")
    if path.suffix.lower() not in (".txt", *TABLES):
        raise InputError(f"captions come from .txt, {', '.join(TABLES)}; got '{path.name}'")
    rows = _lines(path) if path.suffix.lower() == ".txt" else _rows(path)
    captions: dict[str, Caption] = {}
    for number, (key, text) in enumerate(rows):
        name = key or f"{number:05d}"
        captions.setdefault(name, Caption(name, text))
    if not captions:
        raise InputError(f"{path} holds no captions")
    return list(captions.values())


def captions_of(source: Path, clips: tuple[Clip, ...]) -> list[Caption]:
    """Return the captions that the clips of a set carry.

    Raises:
        InputError: one carries none.
    """
    for clip in clips:
        if not clip.caption:
            raise InputError(
                f"a model needs captions, and '{clip.key}' of '{source}' has none: give "
                "--captions FILE, --dataset NAME, or a manifest with captions"
            )
    return [Caption(clip.key, clip.caption) for clip in clips]


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as text in UTF-8 ({error})") from None
    return (("", line.strip()) for line in lines if line.strip())


def _rows(path: Path) -> Iterator[tuple[str, str]]:
    def fault(where: str, reason: str) -> None:
        raise InputError(f"{where}: {reason}")

    for number, row in enumerate(read_rows(path, fault), start=1):
        captions = metadata_of(row).captions
        if not captions:
            raise InputError(f"{path}, row {number}: no caption in columns {', '.join(row)}")
        yield _key(path_of(row), f"{path}, row {number}"), captions[0]


def _key(name: str, where: str) -> str:
    """Return the name of a clip; files are written by it, so it stays below its folder.

    Raises:
        InputError: it leads out of the folder.
    """
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts:
        raise InputError(f"{where}: '{name}' leads out of the folder that clips are kept in")
    return str(path.with_suffix("") if path.suffix.lower() in SUFFIXES else path) if name else ""


def wanted_captions(captions: Path | None, reference: ClipSet) -> list[Caption]:
    """Return what a model is asked for: the captions of a file, else those of the reference.

    Raises:
        InputError: as `read_captions`, or a reference without captions.
    """
    if captions is not None:
        return read_captions(captions)
    return captions_of(reference.source, reference.clips)
