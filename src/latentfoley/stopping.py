"""Ctrl-C and SIGTERM: a command says what is kept, leaves nothing half-written, and ends soon.

The first signal ends the command and later ones do nothing, so that tidying up is not interrupted.
Python runs a handler only between two of its own instructions; where compiled code takes longer
than a user waits, a thread that the signal wakes ends the process. Training has handlers of its own
(`training/loop.py`), and so has the server.
"""

import _thread
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from latentfoley.files import remove_parts
from latentfoley.pools import stop_workers

_MOST_S = 2.0  # from the signal to the end
_SOON_S = 0.01  # until libsndfile's next call has returned
_ENDED_BY_SIGNAL = 128  # exit codes of shells


@contextmanager
def stoppable() -> Iterator[None]:
    """Raise KeyboardInterrupt in the block at SIGINT and SIGTERM; then exit with 130 or 143.

    A signal that whoever started this process wanted to be ignored stays so.
    """
    received: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        if _in_callback(frame):
            threading.Timer(_SOON_S, _thread.interrupt_main, (number,)).start()
            return
        received.append(number)
        _ignore(handled)
        sys.unraisablehook = lambda _: None  # what is interrupted in a finaliser is no news
        stop_workers()
        raise KeyboardInterrupt

    signals = (signal.SIGINT, signal.SIGTERM)
    handled = [number for number in signals if signal.getsignal(number) is not signal.SIG_IGN]
    try:
        try:
            for number in handled:
                signal.signal(number, stop)
            _watch((stop, signal.SIG_IGN))
            yield
        finally:
            _ignore(handled)  # what is left to do is to end; a signal may still come just before
    except KeyboardInterrupt:  # outside a command; inside, typer exits
        pass
    finally:
        if received:
            # Under `python -m` a process ends by SIGINT where the last code compiled from a string,
            # as dataclasses do when they are imported, was interrupted.
            exec("")
            sys.exit(_ENDED_BY_SIGNAL + received[0])


def _ignore(numbers: list[signal.Signals]) -> None:
    for number in numbers:
        signal.signal(number, signal.SIG_IGN)


def _in_callback(frame: FrameType | None) -> bool:
    """Return whether libsndfile is calling: what is raised then is printed, and it goes on."""
    while frame is not None:
        if frame.f_code.co_name.startswith("vio_"):
            return True
        frame = frame.f_back
    return False


def _watch(handlers: tuple[object, ...]) -> None:
    """Start the thread that ends the process some time after a signal that one of these handles."""
    told, teller = socket.socketpair()
    teller.setblocking(False)
    signal.set_wakeup_fd(teller.detach(), warn_on_full_buffer=False)
    threading.Thread(target=_end_late, args=(told, handlers), daemon=True).start()


def _end_late(told: socket.socket, handlers: tuple[object, ...]) -> None:
    number = told.recv(1)[0]
    while signal.getsignal(number) not in handlers:
        number = told.recv(1)[0]
    time.sleep(_MOST_S)
    remove_parts()
    os._exit(_ENDED_BY_SIGNAL + number)
