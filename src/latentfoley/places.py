"""Where files are: a folder of this machine, or what fsspec reaches (s3://, gs://, memory:// …).

Local files are written as everywhere here (`files.aside`). An object of a store is there whole or
not at all, so it needs no temporary name; one that is made piece by piece is made in a temporary
folder of this machine and then sent. Credentials are the store's own affair (its environment
variables and files): a name that holds some is refused, because names are printed and kept.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any, Self, Union

import fsspec
from fsspec.implementations.local import LocalFileSystem

from latentfoley.encoding import write_atomically
from latentfoley.errors import (
    InputError,
    MissingExtraError,
    UserError,
    nearest,
    nearest_files,
    printable,
)
from latentfoley.files import aside, stored_path
from latentfoley.place_names import is_remote, require_no_credentials

# What stores call that which changes with an object, the surest first.
_MARKS = ("ETag", "etag", "md5Hash", "md5", "mtime", "LastModified", "last_modified", "created")


@dataclass(frozen=True)
class Place:
    """A folder, here or elsewhere. Files in it are named from it on, with "/".

    Attributes:
        name: as it was given.
        files: the file system that it is in.
        root: its name there.
    """

    name: str
    files: fsspec.AbstractFileSystem
    root: str

    @classmethod
    def of(cls, where: "Where") -> Self:
        """Return a place, there or not.

        Raises:
            InputError: a protocol that fsspec does not know, or a name that holds credentials.
            MissingExtraError: the package that speaks the protocol is not installed.
        """
        if isinstance(where, cls):
            return where
        text = str(where)
        if not is_remote(text):
            return cls(text, LocalFileSystem(), Path(text).absolute().as_posix())
        require_no_credentials(text)
        protocol = text.partition("://")[0]
        if protocol not in fsspec.available_protocols():
            known = nearest(protocol, fsspec.available_protocols())
            raise InputError(f"no file system is called '{printable(protocol)}'; {known}")
        try:
            files, root = fsspec.core.url_to_fs(text)
        except ImportError as error:
            raise MissingExtraError(f"{protocol}:// needs a package: {error}") from None
        return cls(text if text.endswith("://") else text.rstrip("/"), files, root.rstrip("/"))

    def __str__(self) -> str:
        return self.name

    @property
    def folder(self) -> Path | None:
        """The folder, as it was named, where it is one of this machine."""
        if not isinstance(self.files, LocalFileSystem):
            return None
        return Path(self.root if is_remote(self.name) else self.name)

    def where(self, name: str) -> str:
        """Return the whole name of a file, as a message has it."""
        return f"{self.name}/{name}" if self.folder is None else str(self.folder / name)

    @property
    def parent(self) -> "Place":
        """The place that this one is in, or that a file is in which it names."""
        if self.folder is not None:
            return Place.of(self.folder.parent)
        return Place.of(self.name.rpartition("/")[0])

    def inside(self, name: str) -> "Place":
        """Return the place that a record in this one names; see `stored_name`."""
        if is_remote(name) or self.folder is None:
            return Place.of(name)
        return Place.of(self.folder / name)

    def is_same(self, other: "Place") -> bool:
        """Return whether both are one place, whatever they are called."""
        if self.folder is None or other.folder is None:
            return (self.files, self.root) == (other.files, other.root)
        return self.folder.resolve() == other.folder.resolve()

    def read(self, name: str) -> bytes | None:
        """Return the bytes of a file; None where there is none.

        Raises:
            OSError: the disk refuses.
            InputError: the store refuses.
        """
        try:
            with self._reading(name):
                return bytes(self.files.cat_file(self._path(name)))
        except (FileNotFoundError, NotADirectoryError):
            return None

    def write(self, name: str, data: bytes) -> None:
        """Write a file whole or not at all.

        Raises:
            OSError: the disk or the store refuses.
        """
        if self.folder is not None:
            write_atomically(self.folder / name, data)
            return
        with _asking():
            self.files.pipe_file(self._path(name), data)

    @contextmanager
    def new(self, name: str) -> Iterator[Path]:
        """Yield a name of this machine for a file, which is in the place at the end of the block.

        Raises:
            OSError: the disk or the store refuses.
        """
        if self.folder is not None:
            with aside(self.folder / name) as part:
                yield part
            return
        with TemporaryDirectory(prefix="latentfoley-") as temporary:
            part = Path(temporary, PurePosixPath(name).name)
            yield part
            with _asking():
                self.files.put_file(str(part), self._path(name))

    @contextmanager
    def local(self, name: str) -> Iterator[Path]:
        """Yield a file of this machine: that file, or a copy of the same name that is then removed.

        What is said of the copy in an error is said of the file.

        Raises:
            InputError: the store refuses, or has no such file; see `is_of_file`.
        """
        if self.folder is not None:
            yield self.folder / name
            return
        with TemporaryDirectory(prefix="latentfoley-") as temporary:
            copy = Path(temporary, PurePosixPath(name).name)
            self.fetch(name, copy)
            try:
                yield copy
            except UserError as error:
                said = str(error).replace(str(copy), self.where(name))
                raise type(error)(said) from None

    def fetch(self, name: str, copy: Path) -> None:
        """Copy a file to one of this machine.

        Raises:
            InputError: the store refuses, or has no such file; see `is_of_file`.
        """
        try:
            with self._reading(name):
                self.files.get_file(self._path(name), str(copy))
        except FileNotFoundError as error:
            raise self._unreadable(name, error) from error

    def has(self, name: str) -> bool:
        """Return whether there is a file of that name now, also if another machine wrote it."""
        return self._about(name) is not None

    def size(self, name: str) -> int:
        """Return the bytes of a file, 0 where there is none."""
        about = self._about(name)
        return int(about["size"] or 0) if about else 0

    def state(self, name: str) -> tuple[int | str, ...]:
        """Return what changes when a file does: its size, and its time or the store's mark.

        It is (0, 0) of a file that is not there or is closed.

        Raises:
            InputError: the store refuses.
        """
        try:
            if self.folder is not None:
                state = (self.folder / name).stat()
                return state.st_size, state.st_mtime_ns
            about = self._about(name)
        except OSError:
            return 0, 0
        except InputError as error:
            if not is_of_file(error):
                raise
            return 0, 0
        if about is None:
            return 0, 0
        mark = next((str(about[mark]) for mark in _MARKS if about.get(mark)), "")
        return int(about["size"] or 0), mark

    def hash(self, name: str) -> str:
        """Return the SHA-256 of a file, which is read block by block.

        Raises:
            OSError: the disk refuses, or there is no such file.
            InputError: the store refuses.
        """
        with self._reading(name), self.files.open(self._path(name), "rb") as file:
            return file_digest(file, "sha256").hexdigest()

    def names(self, folder: str = "") -> list[str]:
        """Return the names of what is in the place itself, or in a folder of it, in order.

        Raises:
            OSError: the disk refuses.
            InputError: the store refuses.
        """
        return sorted(name for name, _ in self.entries(folder))

    def entries(self, folder: str = "") -> list[tuple[str, bool]]:
        """Return (name, whether it is a folder) of what is there; empty where there is nothing.

        Raises:
            OSError: the disk refuses.
            InputError: the store refuses.
        """
        self.files.invalidate_cache()
        path = self._path(folder).rstrip("/")
        try:
            with self._reading(folder):
                found = self.files.ls(path, detail=True)
        except FileNotFoundError:
            return []
        # Some stores have an object of the folder's own name, which stands for the folder.
        paths = ((str(one["name"]).rstrip("/"), one["type"] == "directory") for one in found)
        return [(PurePosixPath(name).name, is_folder) for name, is_folder in paths if name != path]

    def remove(self, name: str) -> None:
        """Remove a file, if it is there.

        Raises:
            OSError: the disk or the store refuses.
        """
        if self.has(name):
            with _asking():
                self.files.rm_file(self._path(name))

    def _path(self, name: str) -> str:
        return f"{self.root}/{name}" if name else self.root

    def _about(self, name: str) -> dict[str, Any] | None:
        """Return what the file system knows of a file; None where there is none."""
        if self.folder is not None:
            path = self.folder / name
            return {"size": path.stat().st_size} if path.is_file() else None
        self.files.invalidate_cache()
        try:
            with self._reading(name):
                about: dict[str, Any] = self.files.info(self._path(name))
        except (FileNotFoundError, NotADirectoryError):
            return None
        return about if about["type"] == "file" else None

    @contextmanager
    def _reading(self, name: str) -> Iterator[None]:
        """Turn what a store refuses into words, but for a file that is not there."""
        try:
            with _asking():
                yield
        except (FileNotFoundError, NotADirectoryError):
            raise
        except OSError as error:
            if self.folder is not None:
                raise
            raise self._unreadable(name, error) from error

    def _unreadable(self, name: str, error: OSError) -> InputError:
        where = self.where(name) if name else self.name
        return InputError(f"'{where}' cannot be read: {error.strerror or error}")


Where = Union[str, "os.PathLike[str]", Place]
"""How a caller names a folder: by a path, by a name of fsspec, or as a place."""


@contextmanager
def _asking() -> Iterator[None]:
    """Turn what a store's package raises into an OSError: each has exceptions of its own."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        raise OSError(f"{type(error).__name__}: {error}") from error


def is_of_file(error: InputError) -> bool:
    """Return whether `Place.local` failed for a file that is gone or closed, not for its place."""
    return isinstance(error.__cause__, FileNotFoundError | PermissionError)


def nearest_place(place: Place) -> str:
    """Return the sentence that helps someone who mistyped the name of a folder of this machine."""
    if place.folder is None or place.folder.exists():
        return ""
    return nearest_files(place.folder)


def stored_name(place: Place, record: Place) -> str:
    """Return a place as a record in another has it; `Place.inside` finds it from there.

    A remote place has its whole name, and so has a local one in a remote record. Otherwise it is as
    in `files.stored_path`.
    """
    if place.folder is None:
        return place.name
    if record.folder is None:
        return str(place.folder.resolve())
    return stored_path(place.folder, record.folder)


@contextmanager
def local_file(name: str, folder: Path) -> Iterator[Path]:
    """Yield a file of this machine: a path, from `folder` where it is relative, or a copy of a
    remote file, of the same name, that is removed afterwards.

    Raises:
        InputError: the remote file cannot be read, or as `Place.of`.
        MissingExtraError: as `Place.of`.
    """
    if not is_remote(name):
        yield folder / name
        return
    parent, _, last = name.rpartition("/")
    with Place.of(parent).local(last) as path:
        yield path
