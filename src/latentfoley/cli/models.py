"""`latentfoley models …`: what there is, what it is, and from one format to the other."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from latentfoley.cli import options

app = typer.Typer(help="List, inspect, download, convert and export models.", no_args_is_help=True)

ModelName = Annotated[str, typer.Argument(help="A folder, a .ckpt, a published name or a hub id.")]
Compat = Annotated[
    str, typer.Option(help="trained: what the weights were trained with; diffusers: what it runs.")
]
NoEma = Annotated[
    bool, typer.Option("--no-ema", help="Take a .ckpt's last weights, not their running mean.")
]
AsJson = Annotated[bool, typer.Option("--json", help="JSON instead of text.")]


class Format(StrEnum):
    """What `export` writes."""

    diffusers = "diffusers"
    ckpt = "ckpt"


@app.command("list")
def list_models(as_json: AsJson = False) -> None:
    """List the embedded model and the published ones, and which are on this machine."""
    from latentfoley.checkpoints.describe import listing
    from latentfoley.loading import EMBEDDED

    rows = listing()
    if as_json:
        typer.echo(json.dumps([*({"name": name} for name in EMBEDDED), *rows], indent=2))
        return
    for name in EMBEDDED:
        typer.echo(f"{name:20} embedded: always there, free for any use")
    for row in rows:
        place = row["path"] or (f"hub {row['hub_id']}" if row["hub_id"] else "a .ckpt on Zenodo")
        typer.echo(f"{row['name']:20} {row['bytes'] / 1e9:.2f} GB  {row['licence']}  {place}")


@app.command()
def info(
    model: ModelName,
    revision: options.Revision = None,
    compat: Compat = "trained",
    tokenizer: options.Tokenizer = None,
    prediction: options.Prediction = None,
    no_ema: NoEma = False,
    as_json: AsJson = False,
) -> None:
    """Say what a model is: parts, sizes, and which settings are active and why."""
    from latentfoley.checkpoints.describe import describe
    from latentfoley.loading import open_model

    parts = open_model(
        model,
        revision=revision,
        compat=compat,
        tokenizer=tokenizer,
        prediction=prediction,
        ema=not no_ema,
    )
    metadata = describe(parts, model)
    typer.echo(json.dumps(metadata, indent=2) if as_json else "\n".join(_lines(metadata)))


@app.command()
def download(model: ModelName, revision: options.Revision = None) -> None:
    """Fetch a model from the hub, resume a fetch that was cut off, and check every file."""
    from latentfoley.checkpoints.hub import check
    from latentfoley.checkpoints.registry import PUBLISHED
    from latentfoley.loading import find_folder

    folder = find_folder(model, revision)
    hub_id = PUBLISHED[model].hub_id if model in PUBLISHED else model
    for file in check(str(hub_id), folder):
        typer.echo(f"as published: {file}", err=True)
    typer.echo(folder)


@app.command()
def convert(
    file: Annotated[Path, typer.Argument(help="A checkpoint of the authors' code (.ckpt).")],
    out: Annotated[Path, typer.Argument(help="Model folder to write; must not exist.")],
    compat: Compat = "trained",
    tokenizer: options.Tokenizer = None,
    prediction: options.Prediction = None,
    no_ema: NoEma = False,
) -> None:
    """Turn a checkpoint file into a folder that we and diffusers load."""
    from latentfoley.checkpoints.parts import write_folder
    from latentfoley.loading import open_model

    parts = open_model(
        str(file), compat=compat, tokenizer=tokenizer, prediction=prediction, ema=not no_ema
    )
    typer.echo(f"{out}  {write_folder(parts, out) / 1e6:.1f} MB")


@app.command()
def export(
    model: ModelName,
    out: Annotated[Path, typer.Argument(help="Folder or .ckpt to write; must not exist.")],
    to: Annotated[Format, typer.Option(help="diffusers: a folder; ckpt: the authors' format.")],
    revision: options.Revision = None,
    compat: Compat = "trained",
    tokenizer: options.Tokenizer = None,
    prediction: options.Prediction = None,
) -> None:
    """Write a model for another program."""
    from latentfoley.checkpoints.export import write_for_diffusers, write_original
    from latentfoley.loading import open_model

    parts = open_model(
        model, revision=revision, compat=compat, tokenizer=tokenizer, prediction=prediction
    )
    size = (write_for_diffusers if to is Format.diffusers else write_original)(parts, out)
    typer.echo(f"{out}  {size / 1e6:.1f} MB")


def _lines(metadata: dict[str, Any]) -> list[str]:
    lines = [f"{'model':16} {metadata['model']}", f"{'path':16} {metadata['path']}"]
    lines += [
        f"{part:16} {size['parameters']:,} parameters, {size['bytes'] / 1e6:.1f} MB, "
        f"{size['precision']}"
        for part, size in metadata["parts"].items()
    ]
    latent, heads, eps = metadata["latent"], metadata["heads"], metadata["text_eps"]
    rows = {
        "attention heads": f"{', '.join(map(str, heads['value']))} ({heads['why']})",
        "text LayerNorm ε": f"{eps['value']:g} ({eps['why']})",
        "latent": f"{latent['channels']} channels, compression {latent['compression']}, "
        f"scaling factor {metadata['scaling_factor']}",
        "predicts": metadata["prediction"],
        "audio tower": "yes" if metadata["audio_tower"] else "no: cannot be guided by recordings",
        "knows": ", ".join(metadata["kinds"]),
        "trained from": metadata["trained_from"],
        "training": "; ".join(metadata["training"]),
        "licence": metadata["licence"],
    }
    return lines + [f"{label:16} {text}" for label, text in rows.items() if text]
