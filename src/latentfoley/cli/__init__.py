"""The command line: parse, build the request, call. No logic of its own.

Nothing heavy is imported until a command runs, so that `--help` answers at once.
"""

import errno
import sys
import traceback
from typing import Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from latentfoley.cli import (
    ablate,
    batch,
    data,
    doctor,
    edit,
    evaluate,
    generate,
    info,
    models,
    serve,
    train,
)
from latentfoley.errors import (
    InputError,
    LatentFoleyError,
    UserError,
    printable,
    show_warnings_plainly,
)
from latentfoley.version import __version__


class _Stoppable(TyperGroup):
    """Says at Ctrl-C what is kept: what the command has noted, or what holds for all."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as stop:
            notes = getattr(stop, "__notes__", ["what is written is whole"])
            typer.echo(f"stopped; {notes[0]}", err=True)
            raise


app = typer.Typer(
    cls=_Stoppable,
    name="latentfoley",
    help="Text to sound with latent diffusion, on your own machine.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command("generate")(generate.generate)
app.command("edit")(edit.edit)
app.command("batch")(batch.batch)
app.command("evaluate")(evaluate.evaluate)
app.command("ablate")(ablate.ablate)
app.command("serve")(serve.serve)
app.command("ui")(serve.ui)
app.command("info")(info.info)
app.command("doctor")(doctor.doctor)
app.add_typer(data.app, name="data")
app.add_typer(train.app, name="train")
app.add_typer(models.app, name="models")

USER_MISTAKE, OUR_MISTAKE = 2, 1


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"latentfoley {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(
        False, "--version", is_eager=True, callback=_print_version, help="Print the version."
    ),
    debug: bool = typer.Option(False, "--debug", help="Show the traceback of an error."),
) -> None:
    pass


def main() -> None:
    """Run the command line; exit with 2 for the user's mistakes, 1 for ours."""
    show_warnings_plainly()
    try:
        sys.argv[1:] = _debug_first(sys.argv[1:])
        app()
    except LatentFoleyError as error:
        mistake = isinstance(error, UserError) and not _is_of_the_machine(error)
        _fail(error, USER_MISTAKE if mistake else OUR_MISTAKE)
    except UnicodeEncodeError as error:  # a word of the command line that is no UTF-8
        name = printable(str(error.object))[:200]
        _fail(InputError(f"'{name}' holds bytes that are not UTF-8"), USER_MISTAKE)
    except OSError as error:
        _fail(error, OUR_MISTAKE if _is_of_the_machine(error) else USER_MISTAKE)
    except Exception as error:
        _fail(error, OUR_MISTAKE)


# What no other arguments would mend: a full or failing disk, a limit of the system.
_OF_THE_MACHINE = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ENOMEM, errno.EMFILE, errno.ENFILE),
    errno.EPIPE,
}


def _is_of_the_machine(error: BaseException | None) -> bool:
    """Return whether an error, or what it was raised for, is one of these."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _OF_THE_MACHINE:
            return True
        error = error.__cause__ or error.__context__
    return False


def _debug_first(words: list[str]) -> list[str]:
    """Return the words of a command with --debug, which may stand anywhere, before them."""
    end = words.index("--") if "--" in words else len(words)
    others = [word for word in words[:end] if word != "--debug"]
    return ["--debug"] * (len(others) < end) + others + words[end:]


def _fail(error: Exception, code: int) -> None:
    if "--debug" in sys.argv:
        traceback.print_exception(error)
    said, hint = str(error), ""
    if isinstance(error, OSError) and error.strerror:
        place = f"'{error.filename}': " if error.filename is not None else ""
        said = f"{place}{error.strerror}"
    elif not isinstance(error, LatentFoleyError):
        said = f"{type(error).__name__}: {error}"
        hint = "\nThis is a fault of ours; --debug shows where."
    lines = "\n".join(printable(line) for line in said.split("\n"))
    Console(stderr=True, soft_wrap=True, highlight=False).print(
        f"[bold red]error:[/] {_escape(lines)}{hint}"
    )
    sys.exit(code)


def _escape(text: str) -> str:
    """Keep square brackets in messages from being read as styles."""
    from rich.markup import escape

    return escape(text)
