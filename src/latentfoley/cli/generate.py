"""`latentfoley generate`: prompts → files."""

import csv
import json
import reprlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from latentfoley.cli import options
from latentfoley.cli.output import clip_paths, deliver, interruptible, progress_bar, require_place
from latentfoley.errors import InputError, nearest_files

Option = typer.Option


def generate(
    prompts: Annotated[
        list[str] | None,
        typer.Argument(help='What to hear; a blend is "rain @0.7 + a dog barking @0.3".'),
    ] = None,
    out: options.Out = Path("out"),
    from_: Annotated[
        Path | None, Option("--from", help="Prompts from a .csv or .jsonl (column 'prompt').")
    ] = None,
    audio_prompt: options.AudioPrompt = None,
    negative_prompt: options.NegativePrompt = "",
    duration: options.Duration = 5.0,
    loop: Annotated[bool, Option("--loop", help="Let the end lead on to the beginning.")] = False,
    steps: options.Steps = 25,
    guidance: options.Guidance = 4.5,
    sampler: options.SamplerName = "dpm++",
    spacing: options.SpacingName = None,
    eta: options.Eta = 0.0,
    seed: options.Seed = 0,
    n: options.Count = 1,
    candidates: options.Candidates = 1,
    index: options.Index = 0,
    candidate: options.Candidate = 0,
    model: options.ModelName = "tiny",
    lora: options.Lora = None,
    device: options.Device = None,
    dtype: options.Dtype = "fp32",
    compat: options.CompatName = "trained",
    format_: options.Format = None,
    plot: Annotated[bool, Option("--plot", help="Write a picture beside every file.")] = False,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Generate sounds from texts.

    Example: latentfoley generate "a dog barking" "rain on a tent" -o out/
    """
    from latentfoley.request import GenerationRequest

    texts = [*(prompts or []), *(_read_prompts(from_) if from_ else [])]
    request = GenerationRequest.build(
        texts or None,
        audio_prompt=audio_prompt,
        negative_prompt=negative_prompt,
        duration_s=duration,
        loop=loop,
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
    names = request.prompts or (f"like {request.audio_prompt.stem}",)  # type: ignore[union-attr]
    paths = clip_paths(request, names, out, format_)
    require_place(paths[0].parent)
    from latentfoley.clip import Clip
    from latentfoley.loading import load

    with interruptible(paths, out) as written, progress_bar(quiet=as_json) as progress:
        clips = load(model, device=device, dtype=dtype, compat=compat, lora=lora).run(
            request, progress
        )
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
