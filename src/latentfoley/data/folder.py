"""A folder of recordings: what is in it, in an order that is the same on every machine.

Names are yielded one by one and never gathered, so a folder of a million clips costs no more than
its largest sub-folder. Hidden files and folders are passed over, `__MACOSX` too: they are what
systems and editors leave there, and a `._x.wav` is no sound.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from latentfoley.errors import AudioFileError, InputError, nearest_files
from latentfoley.places import Place, Where

# What looks like sound. Some of it is not read here: it is listed as broken, with the reason,
# instead of being passed over.
_SUFFIXES = {
    *(".wav", ".wave", ".bwf", ".rf64", ".w64", ".aif", ".aiff", ".aifc", ".au", ".snd", ".caf"),
    *(".flac", ".ogg", ".oga", ".opus", ".spx", ".mp1", ".mp2", ".mp3", ".mpga", ".aac", ".ac3"),
    *(".m4a", ".m4b", ".m4r", ".mp4", ".3gp", ".3ga", ".webm", ".weba", ".mka", ".wma", ".asf"),
    *(".amr", ".awb", ".ape", ".wv", ".tta", ".alac", ".dts", ".eac3", ".mpc", ".ra", ".voc"),
    *(".gsm", ".sph", ".nist", ".ircam", ".sd2", ".dsf", ".dff"),
}


class Found(NamedTuple):
    """A name in a folder, relative to it and with "/"; `fault` where it cannot be looked into."""

    path: str
    fault: str = ""


def require_folder(where: Where) -> None:
    """Refuse what is not a folder that can be listed.

    Raises:
        InputError: no such folder (with the nearest name), a file, or no permission; or as
            `Place.of`.
    """
    place = Place.of(where)
    folder = place.folder
    if folder is None:
        if not place.entries():
            raise InputError(f"there is no folder '{place}', or nothing in it")
        return
    if not folder.exists():
        raise InputError(f"there is no folder '{folder}'.{nearest_files(folder)}")
    if not folder.is_dir():
        raise InputError(f"'{folder}' is a file; give the folder that your recordings are in")
    try:
        with os.scandir(folder):
            pass
    except OSError as error:
        raise InputError(f"'{folder}' cannot be listed: {error.strerror}") from None


def find_recordings(where: Where) -> Iterator[Found]:
    """Yield every recording under a folder by its suffix, and every sub-folder that is closed.

    Sorted by name within a folder, files before sub-folders, wherever it is. Links to folders are
    not followed, because they can lead in circles.
    """
    place = Place.of(where)
    if place.folder is None:
        yield from (Found(path) for path in walk_place(place) if is_sound(path))
    else:
        yield from _walk(place.folder, "")


def walk_place(place: Place, prefix: str = "") -> Iterator[str]:
    """Yield the name of every file in a remote place that is not hidden, in the same order.

    Raises:
        InputError: the place refuses to be listed.
    """
    entries = place.entries(prefix.rstrip("/"))
    visible = sorted(one for one in entries if not one[0].startswith((".", "__MACOSX")))
    yield from (f"{prefix}{name}" for name, is_folder in visible if not is_folder)
    for name, is_folder in visible:
        if is_folder:
            yield from walk_place(place, f"{prefix}{name}/")


def list_recordings(folder: Path) -> list[Path]:
    """Return the paths of all recordings under a folder, in the order of `find_recordings`.

    Raises:
        InputError: it is no folder that can be listed.
        AudioFileError: a sub-folder or a name cannot be used; the first ten are named.
    """
    require_folder(folder)
    found = list(find_recordings(folder))
    faults = [f"'{folder / name.path}': {name.fault}" for name in found if name.fault]
    if faults:
        raise AudioFileError(
            f"{len(faults)} of the files in '{folder}' cannot be used:\n" + "\n".join(faults[:10])
        )
    return [folder / name.path for name in found]


def _walk(folder: Path, prefix: str) -> Iterator[Found]:
    try:
        with os.scandir(folder / prefix) as entries:
            visible = [entry for entry in entries if not entry.name.startswith((".", "__MACOSX"))]
            subfolders = sorted(e.name for e in visible if e.is_dir(follow_symlinks=False))
            sounds = (e for e in visible if is_sound(e.name) and not _is_folder(e))
            files = {e.name: _leads_nowhere(e) for e in sounds}
    except OSError as error:
        yield Found(prefix.rstrip("/"), f"the folder cannot be listed: {error.strerror}")
        return
    for name in sorted(files):
        yield _spelt(prefix + name, files[name])
    for name in subfolders:
        found = _spelt(prefix + name)
        if found.fault:
            yield found
        else:
            yield from _walk(folder, f"{found.path}/")


def _is_folder(entry: os.DirEntry[str]) -> bool:
    return os.path.isdir(entry.path)  # noqa: PTH112 (DirEntry.is_dir raises for a link to itself)


def _leads_nowhere(entry: os.DirEntry[str]) -> str:
    nowhere = entry.is_symlink() and not os.path.exists(entry.path)  # noqa: PTH110
    return "it is a link that leads nowhere" if nowhere else ""


def _spelt(path: str, fault: str = "") -> Found:
    """Return a name as it is, or with its bytes that are no characters written out."""
    whole = path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return Found(whole, fault if whole == path else "the name is not UTF-8; rename it")


def is_sound(name: str) -> bool:
    """Return whether a file's suffix is one of sound, readable here or not."""
    return os.path.splitext(name)[1].lower() in _SUFFIXES  # noqa: PTH122
