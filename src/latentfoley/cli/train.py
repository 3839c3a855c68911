"""`latentfoley train …`: recipes → components → a model folder."""

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from latentfoley.cli.output import require_file_place
from latentfoley.errors import InputError
from latentfoley.progress import progress_bar

app = typer.Typer(help="Train the parts of a model from TOML recipes.", no_args_is_help=True)

Recipe = Annotated[
    Path, typer.Argument(help="A TOML file, or my-recordings, my-recordings-lora, small, large.")
]
Device = Annotated[str | None, typer.Option(help="cpu, cuda, …; by default the fastest.")]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Replace a value, as in --set run.steps=100; repeatable."
    ),
]


@app.command()
def clap(recipe: Recipe, values: Set = None, device: Device = None) -> None:
    """Train a small CLAP on recordings with captions."""
    from latentfoley.training.clap import ClapRecipe, ClapTask

    _run(recipe, ClapRecipe, ClapTask, values, device)


@app.command()
def vae(recipe: Recipe, values: Set = None, device: Device = None) -> None:
    """Train the first stage on recordings."""
    from latentfoley.training.vae import VaeRecipe, VaeTask

    _run(recipe, VaeRecipe, VaeTask, values, device)


@app.command()
def vocoder(recipe: Recipe, values: Set = None, device: Device = None) -> None:
    """Train HiFi-GAN on recordings."""
    from latentfoley.training.vocoder import VocoderRecipe, VocoderTask

    _run(recipe, VocoderRecipe, VocoderTask, values, device)


@app.command()
def diffusion(recipe: Recipe, values: Set = None, device: Device = None) -> None:
    """Train the denoiser on encoded recordings, without captions: a new one, or a model's on.

    Example: latentfoley train diffusion my-recordings
    """
    from latentfoley.training.diffusion import DiffusionTask
    from latentfoley.training.diffusion_recipe import DiffusionRecipe

    _run(recipe, DiffusionRecipe, DiffusionTask, values, device)


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run of `train diffusion`.")],
    out: Annotated[Path, typer.Argument(help="Folder to write; must not exist.")],
    half: Annotated[bool, typer.Option("--half", help="Store fp16, half the size.")] = False,
    adapter: Annotated[
        bool, typer.Option("--adapter", help="Write the LoRA adapter alone, in peft's form.")
    ] = False,
) -> None:
    """Write a model folder: the denoiser that was trained, and all that goes with it.

    Example: latentfoley train export runs/my-recordings my-model
    """
    from latentfoley.training.export import export_adapter, export_model

    if adapter and half:
        raise InputError("an adapter is stored as it was trained: give --adapter or --half")
    size = export_adapter(run, out) if adapter else export_model(run, out, half=half)
    typer.echo(f"{out}  {size / 1e6:.1f} MB")


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="Folder of a run, finished or not.")],
    out: Annotated[
        Path | None, typer.Option(help="HTML file to write; by default report.html in the run.")
    ] = None,
) -> None:
    """Write a page about a run: curves, sounds, settings, and what is wrong with it."""
    from latentfoley.training.report.page import diagnose, page, verdict
    from latentfoley.training.report.run import read_run
    from latentfoley.webpage import write_page

    read = read_run(run)
    findings = diagnose(read)
    path = out or run / "report.html"
    require_file_place(path, ".html", ".htm")
    write_page(path, page(read, findings))
    for finding in findings:
        typer.echo(finding.line)
    typer.echo(verdict(findings))
    typer.echo(path)


def _run(
    path: Path, recipe_kind: Any, task_kind: Any, values: list[str] | None, device: str | None
) -> None:
    """Read the recipe, build the task and train; every run resumes from its last checkpoint.

    Prints the folder of the trained component, or how to resume after a stop.
    """
    from latentfoley.devices import choose_device
    from latentfoley.recipes import read_recipe
    from latentfoley.training.loop import train
    from latentfoley.training.parallel import init_process_group, rank, rank_zero_first

    recipe = read_recipe(path, recipe_kind, values or ())
    with init_process_group(choose_device(device)) as own, _plain_warnings():
        first = rank() == 0
        task = rank_zero_first(lambda: task_kind(recipe, own))
        with progress_bar(recipe.run.folder.name, quiet=not first) as progress:
            finished = train(task, recipe.run, progress=progress)
    if not finished:
        if first:
            said = f"stopped, and saved in {recipe.run.folder}; the same command resumes"
            typer.echo(said, err=True)
        raise typer.Exit(130)  # as after Ctrl-C
    if first:
        typer.echo(recipe.run.folder / "model")


@contextlib.contextmanager
def _plain_warnings() -> Iterator[None]:
    """Show the trainer's own warnings as one line, without the place in the code."""
    from latentfoley.errors import TrainingWarning

    with warnings.catch_warnings():
        warnings.simplefilter("always", TrainingWarning)
        show = warnings.showwarning

        def show_plainly(message: Warning | str, category: type[Warning], *where: Any) -> None:
            if category is TrainingWarning:
                typer.echo(f"warning: {message}", err=True)
            else:
                show(message, category, *where)

        warnings.showwarning = show_plainly  # type: ignore[assignment]
        yield
