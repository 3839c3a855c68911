"""`latentfoley ablate`: a recipe of cells → which of them differ."""

from pathlib import Path
from typing import Annotated

import typer

from latentfoley.cli import options
from latentfoley.cli.output import require_place, resumable
from latentfoley.progress import progress_bar


def ablate(
    recipe: Annotated[Path, typer.Argument(help="TOML file: cells, prompts, metrics.")],
    out: Annotated[
        Path, typer.Option("-o", "--out", help="Folder of clips, features and reports.")
    ],
    workers: Annotated[int | None, typer.Option(help="Processes; by default one per core.")] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only so many prompts, as many of each label.")
    ] = None,
    ray: options.OnRay = False,
) -> None:
    """Compare settings or models over the same prompts; the same command resumes after a stop."""
    from rich.console import Console
    from rich.markup import escape

    from latentfoley.evaluation.ablation import report
    from latentfoley.evaluation.ablation.recipe import AblationRecipe
    from latentfoley.evaluation.ablation.run import ablate as run
    from latentfoley.recipes import read_recipe

    asked = read_recipe(recipe, AblationRecipe)
    require_place(out)
    with progress_bar("generating") as progress, resumable(out, "ablation"):
        ablation = run(asked, out, workers=workers, limit=limit, progress=progress, ray=ray)
    for warning in ablation.warnings:
        Console(stderr=True, soft_wrap=True, highlight=False).print(
            f"[bold yellow]warning:[/] {escape(warning)}"
        )
    report.write_all(ablation, out)
    Console().print(*report.tables(ablation))
    typer.echo(f"written: {out}/results.json and report.html")
