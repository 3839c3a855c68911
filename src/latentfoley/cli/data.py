"""`latentfoley data …`: a folder of recordings → what is in it → shards → what a model sees."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from latentfoley.cli import options
from latentfoley.cli.output import resumable
from latentfoley.progress import progress_bar

if TYPE_CHECKING:
    from latentfoley.data.latents import CacheInfo
    from latentfoley.data.metadata_index import SkippedFile
    from latentfoley.data.scan import Scan
    from latentfoley.data.shards import Dataset

app = typer.Typer(help="Look at, pack and encode recordings to train on.", no_args_is_help=True)

Folder = Annotated[
    str, typer.Argument(help="Any folder or place (s3://…) of recordings, at any depth.")
]
Out = Annotated[str, typer.Argument(help="Folder or place (s3://…): new, empty, or one to resume.")]
Layout = Annotated[
    str | None,
    typer.Option(
        help="audiocaps, clotho, esc50, fsd50k, audioset, table or plain; by default found out."
    ),
]
Captions = Annotated[
    Path | None, typer.Option(help="A .csv, .tsv or .jsonl from elsewhere that names files.")
]
Workers = Annotated[int | None, typer.Option(help="Processes; by default one per core.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]

_SHOWN = 10  # of each list of files; --json has all of them


@app.command()
def scan(
    folder: Folder,
    layout: Layout = None,
    captions: Captions = None,
    workers: Workers = None,
    ray: options.OnRay = False,
    plot: Annotated[
        Path | None, typer.Option(help="Write histograms of durations and levels to this .png.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Say what a folder holds: durations, rates, silence, clipping, duplicates, broken files.

    Example: latentfoley data scan recordings/ --plot scan.png
    """
    from latentfoley.data.scan import scan as scan_folder

    if plot is not None:
        _require_png(plot)
    with progress_bar("listening", quiet=as_json) as progress:
        found = scan_folder(
            folder, layout=layout, captions=captions, workers=workers, ray=ray, progress=progress
        )
    if plot is not None:
        _plot(found, plot)
    if as_json:
        typer.echo(found.model_dump_json())
        return
    _print_rows(_scan_rows(found))
    _print_faults("broken", found.broken)
    _print_faults("remarks", found.remarks)
    _print_files("silent", found.silent)
    _print_files("clipped", found.clipped)
    _print_files("duplicates", [f"{path} = {first}" for path, first in found.duplicates])


@app.command()
def prepare(
    folder: Folder,
    out: Out,
    rate: Annotated[int, typer.Option(help="Sample rate of the clips, in Hz.")] = 16_000,
    piece: Annotated[
        float, typer.Option(help="Cut recordings about that often, in seconds, 1 to 3600.")
    ] = 60.0,
    held_out: Annotated[
        float, typer.Option(help="Share kept from training where nothing else decides.")
    ] = 0.05,
    per_shard: Annotated[int, typer.Option(help="Recordings in one shard.")] = 100,
    layout: Layout = None,
    captions: Captions = None,
    workers: Workers = None,
    ray: options.OnRay = False,
    as_json: Json = False,
) -> None:
    """Pack a folder into tar shards: mono (the mean of the channels), at one rate, with a manifest.

    Stopped or killed, the same command resumes. Broken files are left out and listed.

    Example: latentfoley data prepare recordings/ prepared/
    """
    from latentfoley.data.prepare import prepare as prepare_folder

    with progress_bar("packing", quiet=as_json) as progress, resumable(out, "data set"):
        made = prepare_folder(
            folder,
            out,
            layout=layout,
            captions=captions,
            workers=workers,
            ray=ray,
            progress=progress,
            sample_rate=rate,
            piece_s=piece,
            held_out=held_out,
            recordings_per_shard=per_shard,
        )
    if as_json:
        typer.echo(made.model_dump_json())
        return
    _print_rows(_prepared_rows(made, out))


@app.command()
def encode(
    shards: Annotated[str, typer.Argument(help="Folder or place that `data prepare` has written.")],
    out: Out,
    model: Annotated[str, typer.Option("-m", "--model", help="tiny, a folder, or a hub id.")] = (
        "tiny"
    ),
    vae: Annotated[
        Path | None, typer.Option(help="Folder with the trained vae/; with --clap, not --model.")
    ] = None,
    clap: Annotated[Path | None, typer.Option(help="Folder with CLAP's audio_encoder/.")] = None,
    duration: Annotated[float, typer.Option(help="Seconds in a window, up to 120.")] = 5.12,
    variations: Annotated[
        int, typer.Option(help="Windows for each one to train on: other crops and places.")
    ] = 1,
    mixes: Annotated[
        float, typer.Option(help="Mixes of two recordings, as a share of all windows.")
    ] = 0.0,
    batch_size: Annotated[int, typer.Option(help="Windows encoded together.")] = 16,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, mps; or the fastest.")] = None,
    workers: Annotated[int, typer.Option(help="Processes, each with a model of its own.")] = 1,
    ray: options.OnRay = False,
    as_json: Json = False,
) -> None:
    """Encode shards: log-mels, latents and CLAP embeddings, under the key of what made them.

    Stopped or killed, the same command resumes. What another model has made is refused.

    Example: latentfoley data encode prepared/ latents/ --model tiny
    """
    from latentfoley.data.encode import encode as encode_shards
    from latentfoley.data.encoder import Source
    from latentfoley.data.variations import Augmentation

    source = Source(model, duration, device, vae, clap)
    augmentation = Augmentation.parse(
        {"variations": variations, "mixes": mixes}, where="data encode"
    )
    with progress_bar("encoding", quiet=as_json) as progress, resumable(out, "data set"):
        made = encode_shards(
            shards,
            out,
            source,
            augmentation,
            batch_size=batch_size,
            workers=workers,
            ray=ray,
            progress=progress,
        )
    if as_json:
        typer.echo(made.model_dump_json())
        return
    _print_rows(_encoded_rows(made, out))


def _encoded_rows(made: "CacheInfo", out: str) -> dict[str, str]:
    settings = made.settings
    window_s = settings.n_frames * settings.mel.hop_length / settings.mel.sample_rate
    return {
        "windows": f"{made.n_windows:,} of {window_s:g} s, from {made.n_clips:,} clips, in {out}",
        "held out": f"{made.n_held_out:,}",
        "silent": f"{made.n_silent:,} windows left out",
        "made by": f"vae {settings.vae}, clap {settings.clap}",
    }


def _prepared_rows(made: "Dataset", out: str) -> dict[str, str]:
    from latentfoley.places import Place

    rate = made.settings.sample_rate
    skipped = f" (see {Place.of(out).where('skipped.jsonl')})" if made.n_skipped else ""
    return {
        "shards": f"{made.n_shards:,} in {out}",
        "clips": f"{made.n_clips:,}, {_time(made.total_s)}, mono, {rate} Hz",
        "held out": f"{made.n_held_out:,}",
        "captions": f"{made.n_captioned:,} clips have some",
        "licences": _licences(made.licences),
        "duplicates": f"{made.n_duplicates:,} (kept)",
        "skipped": f"{made.n_skipped:,}{skipped}",
    }


def _scan_rows(found: "Scan") -> dict[str, str]:
    """Return the table of a scan, label by label."""
    rows = {
        "recordings": f"{found.n_recordings:,}, {_time(found.total_s)}",
        "durations": f"{found.shortest_s:.3g} to {found.longest_s:.3g} s",
        "sample rates": _counts(found.sample_rates, " Hz"),
        "channels": _counts(found.channels),
        "formats": _counts(found.kinds),
        "licences": _licences(found.licences),
        "captions": f"{found.captioned:,} recordings have some, {found.labelled:,} have labels",
    }
    if found.tables:
        shown = ", ".join(found.tables[:_SHOWN])
        rows["tables"] = f"{shown} ({found.layout}, {found.table_rows:,} recordings named)"
    for label in ("silent", "clipped", "duplicates", "remarks", "broken"):
        rows[label] = f"{len(getattr(found, label)):,}"
    return rows


def _counts(counts: Mapping[str, int], unit: str = "") -> str:
    shown = [f"{name}{unit} ({n:,})" for name, n in list(counts.items())[:_SHOWN]]
    return ", ".join([*shown, *(["…"] if len(counts) > _SHOWN else [])])


def _licences(counts: Mapping[str, int]) -> str:
    return _counts({name or "none found": n for name, n in counts.items()})


def _time(duration_s: float) -> str:
    minutes, seconds = divmod(round(duration_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min {seconds} s" if hours else f"{minutes} min {seconds} s"


def _print_rows(rows: Mapping[str, str]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for label, text in rows.items():
        table.add_row(Text(label), Text(text))
    Console(highlight=False).print(table)


def _print_faults(label: str, faults: "tuple[SkippedFile, ...]") -> None:
    _print_files(label, [f"{path}: {reason}" for path, reason in faults])


def _print_files(label: str, lines: "tuple[str, ...] | list[str]") -> None:
    """Print a list, the first of it."""
    if lines:
        typer.echo(f"\n{label}")
    for line in lines[:_SHOWN]:
        typer.echo(f"  {_printable(line)}")
    if len(lines) > _SHOWN:
        typer.echo(f"  … and {len(lines) - _SHOWN:,} more; --json lists them all")


def _printable(line: str) -> str:
    """Return a line without what would move the cursor: the name of a file can be anything."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)


def _require_png(path: Path) -> None:
    from latentfoley.errors import InputError

    if path.suffix.lower() != ".png" or path.is_dir():
        raise InputError(f"'{path}' cannot be the picture; give a name that ends in .png")


def _plot(found: "Scan", path: Path) -> None:
    from latentfoley.pictures import plot_bars

    histograms = {"duration in s": found.durations, "level in dB of full scale": found.levels}
    plot_bars(path, histograms, f"{found.folder}: {found.n_recordings:,} recordings")
