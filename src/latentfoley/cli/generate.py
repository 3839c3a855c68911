"""`latentfoley generate`: prompts → files."""

import csv
import json
import reprlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from latentfoley.cli.output import clip_paths, deliver, interruptible, progress_bar, require_place
from latentfoley.errors import InputError, nearest_files

Option = typer.Option


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
    duration: Annotated[float, Option(help="Seconds per clip, 0.1 to 3600.")] = 5.0,
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
    dtype: Annotated[str, Option(help="Denoiser's precision: fp32, bf16, fp16 or auto.")] = "fp32",
    compat: Annotated[
        str, Option(help="Published configs: trained, or diffusers for its reading of them.")
    ] = "trained",
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
    names = request.prompts or (f"like {request.like.stem}",)  # type: ignore[union-attr]
    paths = clip_paths(request, names, out, format_)
    require_place(paths[0].parent)
    from latentfoley.clip import Clip
    from latentfoley.loading import load

    with interruptible(paths) as written, progress_bar(quiet=as_json) as progress:
        clips = load(model, device=device, dtype=dtype, compat=compat).run(request, progress)
        draw = Clip.plot if plot else None
        written += deliver(clips, paths, may_replace=paths == [out], draw=draw, as_json=as_json)


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
