"""How far a long command is: a callback, and the bar that it draws.

The bar stands on stderr, and only on a terminal: what a command prints on stdout can be piped.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Progress = Callable[[int, int], None]
"""Takes how much is done, and of how much."""


@contextmanager
def progress_bar(name: str, *, quiet: bool = False) -> Iterator[Progress]:
    """Yield a callback that draws a bar with counts and the time left; `quiet` draws nothing."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    hidden = quiet or not sys.stderr.isatty()
    console = Console(stderr=True)
    with Bar(
        *columns, TimeRemainingColumn(), console=console, transient=True, disable=hidden
    ) as bar:
        task = bar.add_task(name, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
