"""`latentfoley batch`: a manifest of requests → sounds and results, here or on a cluster."""

import json
from typing import Annotated

import typer

from latentfoley.cli import options
from latentfoley.cli.output import resumable
from latentfoley.progress import progress_bar

Option = typer.Option


def batch(
    manifest: Annotated[
        str,
        typer.Argument(
            help="A .jsonl, .csv, .tsv or .parquet with the columns prompt, or edit and source; "
            "any option by its Python name; id."
        ),
    ],
    out: Annotated[str, Option("-o", "--out", help="Folder or place (s3://…), new or to resume.")],
    loose: Annotated[
        bool, Option("--loose", help="One file for each sound instead of tar shards.")
    ] = False,
    rows_per_shard: Annotated[int, Option(help="Rows that are made and kept together.")] = 100,
    address: Annotated[
        str | None, Option(help="Of a Ray cluster, or auto; by default Ray starts here.")
    ] = None,
    workers: Annotated[
        int | None, Option(help="Models that work side by side; by default all there is room for.")
    ] = None,
    cpus_per_worker: Annotated[float, Option(help="Cores of each.")] = 1,
    gpus_per_worker: Annotated[
        float | None, Option(help="GPUs of each; by default 1 where the cluster has some.")
    ] = None,
    model: options.ModelName = "tiny",
    revision: options.Revision = None,
    tokenizer: options.Tokenizer = None,
    prediction: options.Prediction = None,
    lora: options.Lora = None,
    device: options.Device = None,
    dtype: options.Dtype = "auto",
    compat: options.CompatName = "trained",
    as_json: Annotated[bool, Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Make a sound of every row of a manifest; stopped or killed, the same command resumes. The
    exit code is 1 where a row failed.

    Example: latentfoley batch requests.jsonl --out sounds/
    """
    from latentfoley.cluster.batch import Workers
    from latentfoley.cluster.batch import batch as run

    with progress_bar("sounds", quiet=as_json) as progress, resumable(out, "batch"):
        done = run(
            manifest,
            out,
            loose=loose,
            rows_per_shard=rows_per_shard,
            address=address,
            workers=Workers(workers, cpus_per_worker, gpus_per_worker),
            progress=progress,
            model=model,
            revision=revision,
            tokenizer=tokenizer,
            prediction=prediction,
            lora=lora,
            device=device,
            dtype=dtype,
            compat=compat,
        )
    n_there = done.n_rows - done.n_made - done.n_failed
    failed = f", {done.n_failed:,} failed (results/ says why)" if done.n_failed else ""
    said = f"{done.n_rows:,} rows, {done.n_made:,} made, {n_there:,} there before{failed}"
    typer.echo(json.dumps(done._asdict()) if as_json else f"{done.out}: {said}")
    if done.n_failed:
        raise typer.Exit(1)
