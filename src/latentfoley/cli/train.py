"""`latentfoley train …`: recipes → components → a model folder."""

from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(help="Train the parts of a model from TOML recipes.", no_args_is_help=True)

Recipe = Annotated[Path, typer.Argument(help="A TOML recipe; see recipes/.")]
Device = Annotated[str | None, typer.Option(help="cpu, cuda, …; by default the fastest.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


@app.command()
def clap(recipe: Recipe, device: Device = None, debug: Debug = False) -> None:
    """Train a small CLAP on recordings with captions."""
    from latentfoley.training.clap import ClapRecipe, ClapTask

    _run(recipe, ClapRecipe, ClapTask, device)


@app.command()
def vae(recipe: Recipe, device: Device = None, debug: Debug = False) -> None:
    """Train the first stage on recordings."""
    from latentfoley.training.vae import VaeRecipe, VaeTask

    _run(recipe, VaeRecipe, VaeTask, device)


@app.command()
def vocoder(recipe: Recipe, device: Device = None, debug: Debug = False) -> None:
    """Train HiFi-GAN on recordings."""
    from latentfoley.training.vocoder import VocoderRecipe, VocoderTask

    _run(recipe, VocoderRecipe, VocoderTask, device)


@app.command()
def diffusion(recipe: Recipe, device: Device = None, debug: Debug = False) -> None:
    """Train the denoiser on encoded recordings, without captions: a new one, or a model's on.

    Example: latentfoley train diffusion recipes/my-recordings.toml
    """
    from latentfoley.training.diffusion import DiffusionTask
    from latentfoley.training.diffusion_recipe import DiffusionRecipe

    _run(recipe, DiffusionRecipe, DiffusionTask, device)


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run of `train diffusion`.")],
    out: Annotated[Path, typer.Argument(help="Folder to write; must not exist.")],
    half: Annotated[bool, typer.Option("--half", help="Store fp16, half the size.")] = False,
    adapter: Annotated[
        bool, typer.Option("--adapter", help="Write the LoRA adapter alone, in peft's form.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Write a model folder: the denoiser that was trained, and all that goes with it.

    Example: latentfoley train export runs/my-recordings my-model
    """
    from latentfoley.training.export import export_adapter, export_model

    size = export_adapter(run, out) if adapter else export_model(run, out, half=half)
    typer.echo(f"{out}  {size / 1e6:.1f} MB")


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="Folder of a run, finished or not.")],
    out: Annotated[
        Path | None, typer.Option(help="HTML file to write; by default report.html in the run.")
    ] = None,
    debug: Debug = False,
) -> None:
    """Write a page about a run: curves, sounds, settings, and what is wrong with it."""
    from latentfoley.evaluation.report import write
    from latentfoley.training.report.diagnosis import diagnose
    from latentfoley.training.report.page import page, verdict
    from latentfoley.training.report.run import read_run

    read = read_run(run)
    findings = diagnose(read)
    path = out or run / "report.html"
    write(path, page(read, findings))
    for finding in findings:
        typer.echo(finding.line)
    typer.echo(verdict(findings))
    typer.echo(path)


def _run(path: Path, recipe_kind: Any, task_kind: Any, device: str | None) -> None:
    """Read the recipe, build the task and train; every run resumes from its last checkpoint.

    Prints the folder of the trained component, or how to go on after a stop.
    """
    from latentfoley.devices import choose_device
    from latentfoley.training.loop import train
    from latentfoley.training.recipe import read_recipe

    recipe = read_recipe(path, recipe_kind)
    if not train(task_kind(recipe, choose_device(device)), recipe.run):
        typer.echo(f"stopped, and saved in {recipe.run.folder}; the same command goes on", err=True)
        raise typer.Exit(130)  # as after Ctrl-C
    typer.echo(recipe.run.folder / "model")
