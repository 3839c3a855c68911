"""How far a long command is: a callback, and the bar that it draws.

The bar stands on stderr, and only on a terminal: what a command prints on stdout can be piped.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

Progress = Callable[[int, int], None]
"""Takes how much is done, and of how much."""

_drawn: "list[Bar]" = []


@contextmanager
def progress_bar(name: str, *, quiet: bool = False) -> Iterator[Progress]:
    """Yield a callback that draws a bar with counts and the time left; `quiet` draws nothing."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    bar = Bar(
        *columns,
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=quiet or not sys.stderr.isatty(),
        redirect_stdout=False,  # rich would print it on stderr
        redirect_stderr=False,
    )
    task = bar.add_task(name, total=None)
    with bar:
        _drawn.append(bar)
        try:
            yield lambda done, total: bar.update(task, completed=done, total=total)
        finally:
            _drawn.remove(bar)


@contextmanager
def no_bar() -> Iterator[None]:
    """Take the bar off the screen while something else is printed."""
    for bar in _drawn:
        bar.stop()
    try:
        yield
    finally:
        for bar in _drawn:
            bar.start()
