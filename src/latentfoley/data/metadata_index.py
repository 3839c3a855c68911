"""What is known about the recordings of a folder: from its tables, and from files beside them.

    rain.wav            the recording
    rain.txt            its captions, one a line
    rain.json           captions, labels, licence … under the names that tables use too
    rain.wav.license    its licence, as REUSE (reuse.software) has it; rain.license does too
    LICENSE             of the folder and of those below it, unless something nearer says otherwise

What stands nearer to the recording comes first; captions and labels of all sources are kept.
"""

import os
import posixpath
import re
import sqlite3
from collections.abc import Iterator
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import NamedTuple, Self
from unicodedata import normalize

from latentfoley.data.layouts import LAYOUTS, find
from latentfoley.data.metadata import Metadata, metadata_of
from latentfoley.data.tables import SUFFIXES, read_object
from latentfoley.errors import InputError, nearest, nearest_files, quoted

PLAIN = "plain"  # no tables, only what stands beside a recording

_LICENCE_NAMES = re.compile(r"(licen[cs]e|copying)(\.txt|\.md)?", re.IGNORECASE)
_SPDX = re.compile(r"SPDX-License-Identifier:\s*(\S.*)")
_MOST_BYTES = 1 << 20  # of a side-car
_CACHE_KIB = 512
_MOST_CHARACTERS = 80  # of a licence's name
_MOST_NAMES = 2000  # of recordings, to find the one that a row may mean
# Of data sets that distribute no sound it is usual that clips are gone.
_OFTEN_GONE = ("audiocaps", "audioset")


class SkippedFile(NamedTuple):
    """Something that could not be used, where it is, and why."""

    path: str
    reason: str


class DiskTable:
    """Texts by key, in a private file that SQLite removes; memory stays at its cache."""

    def __init__(self) -> None:
        self._rows = sqlite3.connect("", isolation_level=None)  # "" is a temporary file
        self._rows.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        self._rows.execute("CREATE TABLE texts (key TEXT PRIMARY KEY, text TEXT) WITHOUT ROWID")
        self._rows.execute("BEGIN")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._rows.close()

    def __len__(self) -> int:
        return int(self._rows.execute("SELECT COUNT(*) FROM texts").fetchone()[0])

    def __iter__(self) -> Iterator[str]:
        return (str(key) for (key,) in self._rows.execute("SELECT key FROM texts ORDER BY key"))

    def __getitem__(self, key: str) -> str:
        text = self.get(key)
        if text is None:
            raise KeyError(key)
        return text

    def __setitem__(self, key: str, text: str) -> None:
        self._rows.execute("INSERT OR REPLACE INTO texts VALUES (?, ?)", (key, text))

    def get(self, key: str) -> str | None:
        """Return the text of a key, or None."""
        row = self._rows.execute("SELECT text FROM texts WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def setdefault(self, key: str, text: str) -> str:
        """Return what stands under a key, and put `text` there if nothing does."""
        there = self.get(key)
        if there is None:
            self[key] = text
        return text if there is None else there


class MetadataIndex:
    """Metadata by recording.

    Attributes:
        layout: how the folder was read.
        tables: the files that were read, relative to the folder.
        skipped: what in them could not be used.
    """

    def __init__(
        self, folder: Path, layout: str | None = None, captions: Path | None = None
    ) -> None:
        """Read the tables of a folder, and one more if `captions` names it.

        Raises:
            InputError: an unknown layout, one that the folder has not, or no such table.
        """
        self.folder = folder
        self.skipped: list[SkippedFile] = []
        self.layout = choose_layout(folder, layout)
        files = [] if self.layout == PLAIN else find(folder, LAYOUTS[self.layout])
        self.tables = [str(file.relative_to(folder)) for file in files]
        self.n_rows = 0  # recordings that the tables name
        self._rows, self._named, self._used = DiskTable(), DiskTable(), DiskTable()
        self._names: dict[str, str] = {}
        self._licence_of = lru_cache(maxsize=4096)(self._folder_licence)
        if files:
            self._add(self._rows, self.layout, folder, files)
        if captions is not None:
            _require_table(captions)
            self.tables.append(str(captions))
            self._add(self._named, "table", captions.parent, [captions])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for table in (self._rows, self._named, self._used):
            table.__exit__(kind, error, trace)

    def find(self, path: str) -> Metadata:
        """Return what is known about the recording at `path`, relative to the folder."""
        if len(self._names) < _MOST_NAMES:
            self._names.setdefault(posixpath.basename(path).casefold(), path)
        metadata = self._beside(path)
        for known in self._from_tables(PurePosixPath(path)):
            metadata = metadata.joined(known)
        if metadata.licence:
            return metadata
        return metadata.joined(Metadata(licence=self._licence_of(str(PurePosixPath(path).parent))))

    def unmatched(self) -> list[SkippedFile]:
        """Say how many of the recordings that the tables name have not been looked for yet."""
        tables = self.tables[:-1] if len(self._named) else self.tables
        told = [self._unmatched(self._rows, self.layout, tables)]
        told.append(self._unmatched(self._named, "table", self.tables[-1:]))
        return [fault for fault in told if fault]

    def _unmatched(self, rows: DiskTable, layout: str, tables: list[str]) -> SkippedFile | None:
        first, n_unmatched = "", 0
        for key in rows:
            if self._used.get(key) is None:
                first, n_unmatched = first or key, n_unmatched + 1
        if not n_unmatched or (layout in _OFTEN_GONE and n_unmatched < len(rows)):
            return None
        name = posixpath.basename(first).casefold()
        nearest = [
            self._names[near] for near in get_close_matches(name, self._names, n=1, cutoff=0.5)
        ]
        return SkippedFile(
            ", ".join(tables[:3]),
            f"{n_unmatched} of {len(rows)} recordings that it names are not in the folder, the "
            f"first of them {quoted(first)}." + "".join(f" Nearest: {quoted(n)}." for n in nearest),
        )

    def _add(self, rows: DiskTable, layout: str, root: Path, files: list[Path]) -> None:
        for name, metadata in LAYOUTS[layout].read(root, files, self._report):
            if not name:
                continue
            key = _spelt(_within(self.folder, root, name))
            there = rows.get(key)
            # A row of AudioCaps has a second key: the number of its caption.
            self.n_rows += there is None and (
                layout != "audiocaps" or metadata.source_url.endswith(f"={key}")
            )
            if there is not None:
                metadata = Metadata.model_validate_json(there).joined(metadata)
            rows[key] = metadata.model_dump_json(exclude_defaults=True)

    def _report(self, where: str, reason: str) -> None:
        self.skipped.append(SkippedFile(where, reason))

    def _from_tables(self, path: PurePosixPath) -> Iterator[Metadata]:
        for rows, layout in ((self._named, "table"), (self._rows, self.layout)):
            keys = [] if layout == PLAIN else map(_spelt, LAYOUTS[layout].keys(path))
            found = ((key, rows.get(key)) for key in keys)
            key, text = next(((key, text) for key, text in found if text is not None), ("", None))
            if text is not None:
                self._used[key] = ""
                yield Metadata.model_validate_json(text)

    def _beside(self, path: str) -> Metadata:
        recording = self.folder / path
        metadata = Metadata()
        if _is_file(notes := recording.with_suffix(".json")):
            metadata = metadata_of(read_object(notes, self._report))
        if _is_file(words := recording.with_suffix(".txt")):
            lines = [" ".join(line.split()) for line in self._read(words).splitlines()]
            metadata = metadata.joined(metadata_of({"captions": lines}))
        for name in (f"{recording.name}.license", f"{recording.stem}.license"):
            if _is_file(licence := recording.with_name(name)):
                metadata = metadata.joined(Metadata(licence=_licence_name(self._read(licence))))
        return metadata

    def _folder_licence(self, subfolder: str) -> str:
        """Return the licence of the nearest folder that has one."""
        here = PurePosixPath(subfolder)
        for part in (here, *here.parents):
            for licence in sorted(_licences(self.folder / part)):
                return _licence_name(self._read(licence))
        return ""

    def _read(self, path: Path) -> str:
        try:
            with path.open("rb") as file:
                return file.read(_MOST_BYTES).decode("utf-8-sig", errors="replace")
        except OSError as error:
            self._report(str(path.relative_to(self.folder)), f"cannot be read: {error.strerror}")
            return ""


def _within(folder: Path, root: Path, name: str) -> str:
    """Return a name that a table in `root` gives to a recording, relative to the folder if it is.

    Relative names are meant from the table on, or from the folder on.
    """
    whole = os.path.normpath(root.absolute() / name)
    for place in (os.path.abspath(folder), folder.resolve()):  # noqa: PTH100 (Path keeps "..")
        outside = not root.absolute().is_relative_to(place)
        if (outside or name[:1] == "/" or ".." in name) and Path(whole).is_relative_to(place):
            return Path(whole).relative_to(place).as_posix()
    return posixpath.normpath(name)


def _spelt(name: str) -> str:
    """Return a name in one form of Unicode: macOS writes "ö" as two characters."""
    return normalize("NFC", name)


def choose_layout(folder: Path, layout: str | None) -> str:
    """Return the layout of a folder: the one named, or the first that its files are known by.

    Raises:
        InputError: an unknown name, or a layout that the folder has not.
    """
    if layout is None:
        found = (name for name, known in LAYOUTS.items() if find(folder, known))
        return next(found, PLAIN)
    if layout not in (*LAYOUTS, PLAIN):
        raise InputError(f"unknown layout '{layout}'; {nearest(layout, (*LAYOUTS, PLAIN))}")
    if layout != PLAIN and not find(folder, LAYOUTS[layout]):
        files = ", ".join(LAYOUTS[layout].files)
        raise InputError(
            f"'{folder}' is not laid out as {layout}: it holds none of {files}; "
            f"it looks like {choose_layout(folder, None)}"
        )
    return layout


def _require_table(path: Path) -> None:
    if not path.is_file():
        raise InputError(f"there is no table '{path}'.{nearest_files(path)}")
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"captions come from {', '.join(SUFFIXES)}, got '{path.name}'")


def _is_file(path: Path) -> bool:
    """Return whether there is such a file; a name too long for the disk is none."""
    return os.path.isfile(path)  # noqa: PTH113  (Path.is_file raises for such a name)


def _licences(folder: Path) -> list[Path]:
    try:
        named = [path for path in folder.iterdir() if is_licence(path.name)]
    except OSError:  # reported by whoever walks the folder
        return []
    return [path for path in named if path.is_file()]


def is_licence(name: str) -> bool:
    """Return whether a file is the licence of its folder, by its name."""
    return bool(_LICENCE_NAMES.fullmatch(name))


def _licence_name(text: str) -> str:
    """Return the SPDX name in a licence's text, or its first line."""
    named = _SPDX.search(text)
    lines = [" ".join(line.split()) for line in ([named[1]] if named else text.splitlines())]
    return next((line for line in lines if line), "")[:_MOST_CHARACTERS]
