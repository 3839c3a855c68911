"""What is written is whole or absent, and never by two processes at once."""

import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from filelock import FileLock, Timeout

from latentfoley.errors import InputError, quoted

PART = ".latentfoley-*.part"
"""Names of what a killed process may leave beside its target."""

_being_written: set[Path] = set()


def cache_folder(kind: str) -> Path:
    """Return where things of a kind are kept from run to run: `$XDG_CACHE_HOME/latentfoley/…`."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "latentfoley" / kind


@contextmanager
def aside(target: Path) -> Iterator[Path]:
    """Yield a random name beside `target` for a file or folder, which becomes `target` at the end.

    An exception, Ctrl-C too, removes what was written; `target` is then as it was.

    Raises:
        InputError: `target` is a device, a pipe or a socket, which a file must not replace.
        OSError: the disk refuses, or `target` is a folder that is not empty.
    """
    require_replaceable(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(PART.replace("*", secrets.token_hex(8)))
    _being_written.add(part)
    try:
        yield part
        part.replace(target)
    except OSError as error:
        if error.filename and Path(error.filename).is_relative_to(part):
            # The name that was asked for says more than one that is gone by then.
            error.filename = str(target / Path(error.filename).relative_to(part))
        raise
    finally:
        _remove(part)
        _being_written.discard(part)


def require_replaceable(target: Path) -> None:
    """Refuse to put a file in place of what others read from or write to.

    Raises:
        InputError: it is a device, a pipe or a socket.
    """
    if target.exists() and not (target.is_file() or target.is_dir()):
        raise InputError(f"{quoted(target)} is a device or a pipe; give the name of a file")


def stored_path(path: Path, record: Path) -> str:
    """Return a path as a record in the folder `record` has it: absolute, or relative to there.

    So it means the same whatever folder the next command runs in, and when both are moved.
    """
    return str(path) if path.is_absolute() else os.path.relpath(path.resolve(), record.resolve())


def remove_parts(place: Path | None = None) -> None:
    """Remove what is half-written: by this process, or by its killed workers anywhere in `place`.

    Nobody else may be writing to `place`; see `locked`.
    """
    for part in list(_being_written) if place is None else list(place.rglob(PART)):
        _remove(part)


def _remove(part: Path) -> None:
    if part.is_dir():
        shutil.rmtree(part, ignore_errors=True)
    part.unlink(missing_ok=True)


@contextmanager
def locked(place: Path, what: str) -> Iterator[None]:
    """Hold a place on this machine for this process, until the block ends or the process dies.

    The lock lies in the folder for temporary files: nothing is left in `place`, and other machines
    that write to the same network folder are not seen.

    Args:
        place: a file or folder, there or not.
        what: what it is, for the message: "training run", "data set".

    Raises:
        InputError: another process holds it; says which.
    """
    folder = Path(tempfile.gettempdir()) / f"latentfoley-locks-{_user()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    name = sha256(os.fsencode(place.resolve())).hexdigest()[:32]
    lock, owner = FileLock(folder / f"{name}.lock"), folder / f"{name}.owner"
    try:
        lock.acquire(timeout=0)
    except Timeout:
        held_by = owner.read_text(encoding="utf-8") if owner.is_file() else "another process"
        raise InputError(
            f"the {what} '{place}' is in use by {held_by}; wait for it, or stop it: the lock ends "
            "with the process"
        ) from None
    try:
        program = Path(sys.argv[0])  # of `python -m latentfoley` the path to its __main__.py
        name = program.parent.name if program.stem == "__main__" else program.name
        command = " ".join([name, *sys.argv[1:]])
        owner.write_text(
            f"process {os.getpid()} ({command[:120]})", encoding="utf-8", errors="backslashreplace"
        )
        yield
    finally:
        owner.unlink(missing_ok=True)
        lock.release()


def _user() -> str:
    return str(os.getuid()) if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
