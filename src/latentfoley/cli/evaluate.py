"""`latentfoley evaluate`: two sets of sounds → scores."""

from pathlib import Path
from typing import Annotated

import typer


def evaluate(
    generated: Annotated[Path, typer.Argument(help="Folder or manifest of generated sounds.")],
    reference: Annotated[Path, typer.Argument(help="Folder or manifest of real sounds.")],
    embedder: Annotated[
        list[str] | None,
        typer.Option(help="clap, clap=FOLDER, cnn14-16k=FILE, cnn14-32k=FILE, vggish=FILE."),
    ] = None,
    protocol: Annotated[
        str, typer.Option(help="latentfoley, or audioldm_eval to read and score as that tool.")
    ] = "latentfoley",
    reconstruction: Annotated[
        bool, typer.Option("--reconstruction", help="Pairs are meant to be the same sound.")
    ] = False,
    training: Annotated[
        Path | None, typer.Option(help="The training sounds, to look for copies of them.")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Only the first so many of each set.")] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write all scores here; - prints them.")
    ] = None,
    html_file: Annotated[
        Path | None, typer.Option("--html", help="Write a page with sounds and pictures here.")
    ] = None,
    resamples: Annotated[int, typer.Option(min=20, help="Draws behind the intervals.")] = 200,
    cache: Annotated[
        Path | None, typer.Option(help="Folder of the cache; by default in ~/.cache.")
    ] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Compute everything anew.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Score generated sounds against real ones; every score comes with its interval."""
    from rich.console import Console
    from rich.markup import escape

    from latentfoley.evaluation import report
    from latentfoley.evaluation.cache import default_folder
    from latentfoley.evaluation.evaluate import evaluate as compare
    from latentfoley.evaluation.page import page
    from latentfoley.evaluation.score import Bootstrap
    from latentfoley.evaluation.sections import Settings

    settings = Settings(
        embedders=tuple(embedder or ["clap"]),
        protocol=protocol,
        reconstruction=reconstruction,
        training=training,
        limit=limit,
        bootstrap=Bootstrap(resamples=resamples),
        cache=None if no_cache else cache or default_folder(),
    )
    evaluation = compare(generated, reference, settings)
    for warning in evaluation.warnings:
        Console(stderr=True, soft_wrap=True, highlight=False).print(
            f"[bold yellow]warning:[/] {escape(warning)}"
        )
    if html_file is not None:
        report.write(html_file, page(evaluation))
    if json_file == Path("-"):
        typer.echo(report.to_json(evaluation), nl=False)
        return
    if json_file is not None:
        report.write(json_file, report.to_json(evaluation))
    Console().print(report.table(evaluation))
