"""Where files are: a folder of this machine, or what fsspec reaches (s3://, gs://, memory:// …).

Local files are written as everywhere here (`encoding.write_atomically`). An object of a store is
there whole or not at all, so it needs no temporary name. Credentials are the store's own affair
(its environment variables and files): a name that holds some is refused, because names are printed
and kept.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Self
from urllib.parse import urlsplit

import fsspec
from fsspec.implementations.local import LocalFileSystem

from latentfoley.encoding import write_atomically
from latentfoley.errors import InputError, MissingExtraError, nearest, printable


def is_remote(name: str) -> bool:
    """Return whether a name is one of fsspec's, with a protocol before it."""
    return "://" in name


@dataclass(frozen=True)
class Place:
    """A folder, here or elsewhere.

    Attributes:
        name: as it was given.
        files: the file system that it is in.
        root: its name there.
    """

    name: str
    files: fsspec.AbstractFileSystem
    root: str

    @classmethod
    def of(cls, name: str | Path) -> Self:
        """Return a place, there or not.

        Raises:
            InputError: a protocol that fsspec does not know, or a name that holds credentials.
            MissingExtraError: the package that speaks the protocol is not installed.
        """
        text = str(name)
        require_no_credentials(text)
        protocol = text.partition("://")[0] if is_remote(text) else "file"
        if protocol not in fsspec.available_protocols():
            known = nearest(protocol, fsspec.available_protocols())
            raise InputError(f"no file system is called '{protocol}'; {known}")
        try:
            files, root = fsspec.core.url_to_fs(text)
        except ImportError as error:
            raise MissingExtraError(f"{protocol}:// needs a package: {error}") from None
        return cls(text, files, root.rstrip("/"))

    def __str__(self) -> str:
        return self.name

    @property
    def folder(self) -> Path | None:
        """The folder, where it is one of this machine."""
        return Path(self.root) if isinstance(self.files, LocalFileSystem) else None

    def read(self, name: str) -> bytes | None:
        """Return the bytes of a file; None where there is none."""
        try:
            found = self.files.cat_file(f"{self.root}/{name}")
        except (FileNotFoundError, NotADirectoryError):
            return None
        return bytes(found)

    def write(self, name: str, data: bytes) -> None:
        """Write a file whole or not at all.

        Raises:
            OSError: the disk or the store refuses.
        """
        if self.folder is not None:
            write_atomically(self.folder / name, data)
        else:
            self.files.pipe_file(f"{self.root}/{name}", data)

    def has(self, name: str) -> bool:
        """Return whether there is a file of that name now, also if another machine wrote it."""
        self.files.invalidate_cache()
        return bool(self.files.isfile(f"{self.root}/{name}"))

    def names(self) -> list[str]:
        """Return the names of what is in the folder itself, in order; empty where it is not."""
        self.files.invalidate_cache()
        try:
            found = self.files.ls(self.root, detail=False)
        except FileNotFoundError:
            return []
        return sorted(PurePosixPath(path).name for path in found)


def require_no_credentials(name: str) -> None:
    """Refuse a name with a user, a password or a query in it.

    Raises:
        InputError: says where credentials belong, without repeating them.
    """
    if not is_remote(name):
        return
    parts = urlsplit(name)
    if "@" in parts.netloc or parts.query:
        raise InputError(
            f"the name of a place under {printable(parts.scheme)}:// holds credentials or a query; "
            "names are kept in manifests: put credentials where the store's own tools look for "
            "them, in the environment or its configuration file"
        )


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
    place = Place.of(parent)
    with TemporaryDirectory(prefix="latentfoley-") as temporary:
        copy = Path(temporary, last)
        try:
            place.files.get_file(f"{place.root}/{last}", str(copy))
        except OSError as error:
            raise InputError(f"'{name}' cannot be read: {error.strerror or error}") from None
        yield copy
