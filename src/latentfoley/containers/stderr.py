"""Keeping a decoder's own messages away from the terminal.

libmpg123 writes to the file descriptor of standard error whatever it thinks of an MP3. What that
means for the user is said by us, in a sentence; its lines are dropped. Standard error belongs to
the whole process, so what another thread writes meanwhile is passed on.
"""

import os
import re
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

_STDERR = 2
_LOCK = threading.RLock()
_OF_LIBMPG123 = re.compile(rb"\s*(\[src/libmpg123|Note: |Warning: |$)")


@contextmanager
def decoder_messages_dropped() -> Iterator[None]:
    """Drop what libmpg123 writes to standard error within this block."""
    with _LOCK, tempfile.TemporaryFile() as aside:
        try:
            terminal = os.dup(_STDERR)
        except OSError:  # closed: there is nowhere to write to
            yield
            return
        try:
            os.dup2(aside.fileno(), _STDERR)
            yield
        finally:
            os.dup2(terminal, _STDERR)
            os.close(terminal)
            _pass_on(aside)


def _pass_on(aside: BinaryIO) -> None:
    """Write to standard error what is not libmpg123's."""
    aside.seek(0)
    kept = [line for line in aside if not _OF_LIBMPG123.match(line)]
    if kept:
        os.write(_STDERR, b"".join(kept))
