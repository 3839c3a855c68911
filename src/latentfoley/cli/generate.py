"""`latentfoley generate`: prompts → files."""

import csv
import json
import os
import reprlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from latentfoley.errors import InputError, UserError, nearest, nearest_files

if TYPE_CHECKING:
    from latentfoley.clip import Clip
    from latentfoley.pipeline import Progress
    from latentfoley.provenance import Provenance
    from latentfoley.request import GenerationRequest

Option = typer.Option
FORMATS = ("wav", "flac", "ogg", "mp3")
OTHER_FORMATS = ("aif", "aiff", "m4a", "aac", "opus", "wma")  # a file's name, not a folder's


def generate(
    prompts: Annotated[
        list[str] | None,
        typer.Argument(help='What to hear; a blend is "rain @0.7 + a dog barking @0.3".'),
    ] = None,
    out: Annotated[
        Path,
        Option("-o", "--out", help="Folder, where no other sound is overwritten, or file's name."),
    ] = Path("out"),
    from_: Annotated[
        Path | None, Option("--from", help="Prompts from a .csv or .jsonl (column 'prompt').")
    ] = None,
    like: Annotated[Path | None, Option(help="Be like this recording, instead of a text.")] = None,
    negative_prompt: Annotated[str, Option(help="What to steer away from.")] = "",
    duration: Annotated[float, Option(help="Seconds per clip, 0.1 to 120.")] = 5.0,
    steps: Annotated[int, Option(help="Denoising steps, 1 to 1000.")] = 25,
    guidance: Annotated[float, Option(help="How strictly to follow the prompt; 1 is plain.")] = 4.5,
    sampler: Annotated[
        str, Option(help="ddim, ddpm, dpm++, dpm++sde, unipc, euler or heun.")
    ] = "dpm++",
    spacing: Annotated[
        str | None, Option(help="uniform, trailing or karras; by default the sampler's own.")
    ] = None,
    eta: Annotated[float, Option(help="Fresh noise in ddim, 0 to 1.")] = 0.0,
    seed: Annotated[int, Option(help="Same seed, same sounds.")] = 0,
    n: Annotated[int, Option("-n", "--n", help="Clips per prompt.")] = 1,
    candidates: Annotated[int, Option(help="Sounds tried per clip; CLAP keeps the best.")] = 1,
    index: Annotated[int, Option(help="Number of the first clip, to make one of many again.")] = 0,
    candidate: Annotated[int, Option(help="Number of the first candidate.")] = 0,
    model: Annotated[str, Option("-m", "--model", help="tiny, a folder, or a hub id.")] = "tiny",
    device: Annotated[str | None, Option(help="cpu, cuda, mps; by default the fastest.")] = None,
    format_: Annotated[
        str | None, Option("--format", help="wav, flac, ogg or mp3; by default wav.")
    ] = None,
    plot: Annotated[bool, Option("--plot", help="Write a picture beside every file.")] = False,
    as_json: Annotated[bool, Option("--json", help="Print one JSON object per file.")] = False,
    debug: Annotated[bool, Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Generate sounds from texts.

    Example: latentfoley generate "a dog barking" "rain on a tent" -o out/
    """
    from latentfoley.request import GenerationRequest

    texts = [*(prompts or []), *(_read_prompts(from_) if from_ else [])]
    request = GenerationRequest.build(
        texts or None,
        like=like,
        negative_prompt=negative_prompt,
        duration_s=duration,
        steps=steps,
        guidance=guidance,
        sampler=sampler,
        spacing=spacing,
        eta=eta,
        seed=seed,
        n=n,
        candidates=candidates,
        index=index,
        candidate=candidate,
    )
    paths = _paths(request, out, format_)
    _require_place(paths[0].parent)
    from latentfoley.loading import load

    with _interruptible(paths) as written, _progress(quiet=as_json) as progress:
        clips = load(model, device=device).run(request, progress)
        for clip, path in zip(clips, paths, strict=True):
            place = path if path == out else _unused(path, clip.provenance)
            _deliver(clip, place, plot=plot, as_json=as_json)
            written.append(place)


def _deliver(clip: "Clip", path: Path, *, plot: bool, as_json: bool) -> None:
    """Write the file, and its picture, and say so."""
    clip.save(path)
    if plot:
        clip.plot(path.with_suffix(".png"))
    if as_json:
        record = {"path": str(path), "score": clip.score} | clip.provenance.to_record()
        typer.echo(json.dumps(record))
    else:
        score = "" if clip.score is None else f"  CLAP {clip.score:.3f}"
        typer.echo(f"{typer.format_filename(path)}  {clip.duration_s:g} s{score}")


def _read_prompts(path: Path) -> list[str]:
    """Read the column `prompt` of a CSV, or that key of every line of a JSONL.

    Raises:
        InputError: no such file, another suffix, or a line without a prompt (with its number).
    """
    if not path.is_file():
        raise InputError(f"there is no file '{path}'.{nearest_files(path)}")
    readers = {".csv": _csv_rows, ".jsonl": _jsonl_rows}
    if path.suffix.lower() not in readers:
        raise InputError(f"prompts come from a .csv or .jsonl file, got '{path.name}'")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = readers[path.suffix.lower()](file)
            prompts = [_prompt(row, f"{path}:{number}") for number, row in rows]
    except (UnicodeDecodeError, csv.Error, OSError) as error:
        raise InputError(f"{path} cannot be read as text in UTF-8 ({error})") from None
    if not prompts:
        raise InputError(f"{path} holds no prompts")
    return prompts


def _csv_rows(file: TextIO) -> Iterator[tuple[int, Any]]:
    reader = csv.DictReader(file)
    for row in reader:
        yield reader.line_num, row


def _jsonl_rows(file: TextIO) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(file, start=1):
        if not line.strip():
            continue
        try:
            yield number, json.loads(line)
        except (ValueError, RecursionError) as error:
            said = getattr(error, "msg", error)  # without its line, which is always the first
            raise InputError(f"{file.name}:{number}: not a JSON object ({said})") from None


def _prompt(row: Any, where: str) -> str:
    """Return the prompt of one row.

    Raises:
        InputError: it has none, an empty one, or fields that the header does not name.
    """
    if not isinstance(row, dict) or not isinstance(row.get("prompt"), str):
        raise InputError(f"{where}: no text under 'prompt' in {reprlib.repr(row)}")
    prompt: str = row["prompt"]
    if not prompt.strip():
        raise InputError(f"{where}: the prompt is empty")
    if None in row:  # csv keeps there what a comma without quotes has cut off
        raise InputError(
            f"{where}: more fields than columns, from {row[None][0]!r} on; "
            "put a prompt that holds commas in quotes"
        )
    return prompt


def _paths(request: "GenerationRequest", out: Path, format_: str | None) -> list[Path]:
    """Return the file of every clip: numbered and named after its prompt, or `out` itself.

    Raises:
        InputError: an unknown format, one file's name for several clips, or two formats.
    """
    if format_ is not None and format_ not in FORMATS:
        raise InputError(f"unknown format '{format_}'; {nearest(format_, FORMATS)}")
    suffix = out.suffix[1:].lower()
    if suffix in (*FORMATS, *OTHER_FORMATS) and not out.is_dir():
        if suffix not in FORMATS:
            raise InputError(f"'{out}' cannot be written; {nearest(suffix, FORMATS)}")
        if format_ not in (None, suffix):
            raise InputError(f"'{out}' and --format {format_} do not agree; give one of them")
        if request.n_clips > 1:
            raise InputError(f"{request.n_clips} clips do not fit in one file; give -o a folder")
        return [out]
    sources = request.prompts or (f"like {request.like.stem}",)  # type: ignore[union-attr]
    return [
        out / f"{request.index + k:03d}-{_slug(sources[k // request.n])}.{format_ or 'wav'}"
        for k in range(request.n_clips)
    ]


def _unused(path: Path, provenance: "Provenance") -> Path:
    """Return `path`, or the first of path-2, path-3 … that holds no other sound than this one."""
    return next(
        place
        for place in chain([path], (path.with_stem(f"{path.stem}-{k}") for k in count(2)))
        if not place.exists() or _holds(place, provenance)
    )


def _holds(path: Path, provenance: "Provenance") -> bool:
    from latentfoley.provenance import read_provenance

    try:
        there = read_provenance(path)
    except UserError:  # not a recording, or not one of ours: leave it alone
        return False
    return there is not None and there.same_sound(provenance)


def _require_place(folder: Path) -> None:
    """Refuse what cannot be written to before the work, not after.

    Raises:
        InputError: it is, or would be in, a file or a folder without permission.
    """
    try:
        there = next(place for place in (folder, *folder.parents) if place.exists())
    except OSError as error:
        raise InputError(f"'{folder}' cannot be written to: {error.strerror}") from None
    if not there.is_dir():
        allowed = f"a folder, or one file's name that ends in {', '.join(FORMATS)}"
        raise InputError(f"'{there}' is a file; give -o {allowed}")
    if not os.access(there, os.W_OK | os.X_OK):
        raise InputError(f"'{there}' cannot be written to: no permission")


def _slug(text: str) -> str:
    """Return a text as a short, safe part of a file name."""
    words = "".join(c if c.isalnum() else " " for c in text.lower()).split()
    return "-".join(words)[:40].strip("-") or "sound"


@contextmanager
def _interruptible(paths: list[Path]) -> Iterator[list[Path]]:
    """Yield a list for the files written; at Ctrl-C say how many of `paths` there are."""
    written: list[Path] = []
    try:
        yield written
    except KeyboardInterrupt:
        count = f"{len(written)} of {len(paths)} files are written, each of them whole"
        typer.echo(f"stopped: {count}; the same command makes the same sounds again", err=True)
        raise


@contextmanager
def _progress(*, quiet: bool) -> Iterator["Progress"]:
    """Yield a progress callback that draws a bar with the time left on a terminal's stderr."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(
        *columns, console=console, transient=True, disable=quiet or not sys.stderr.isatty()
    ) as bar:
        task = bar.add_task("denoising", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
