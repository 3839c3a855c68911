"""`latentfoley info`: how a file came to be."""

from pathlib import Path
from typing import Annotated

import typer


def info(
    files: Annotated[list[Path], typer.Argument(help="Sound files.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per file.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Print the provenance that generated files carry, and the command that makes them again."""
    from latentfoley.provenance import describe, read_provenance

    for file in files:
        provenance = read_provenance(file)
        if as_json:
            typer.echo("null" if provenance is None else provenance.to_comment())
            continue
        typer.echo(str(file))
        if provenance is None:
            typer.echo("  no provenance: not made by latentfoley, or its metadata was removed")
            continue
        for label, text in describe(provenance).items():
            typer.echo(f"  {label:16} {text}")
