"""`latentfoley edit`: a recording → files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from latentfoley.cli.output import clip_paths, deliver, interruptible, progress_bar, require_place

if TYPE_CHECKING:
    from latentfoley.editing import EditRequest

Option = typer.Option


def edit(
    kind: Annotated[str, typer.Argument(help="transfer or vary.")],
    source: Annotated[Path, typer.Argument(help="The recording to edit.")],
    prompts: Annotated[
        list[str] | None,
        typer.Argument(help="What to hear; without one, the recording itself is the guide."),
    ] = None,
    out: Annotated[
        Path,
        Option("-o", "--out", help="Folder, where no other sound is overwritten, or file's name."),
    ] = Path("out"),
    strength: Annotated[
        float | None, Option(help="transfer, vary: depth; 0 keeps all, 1 nothing. [default: 0.5]")
    ] = None,
    source_prompt: Annotated[
        str | None, Option(help="transfer: what the recording is, to be led away from.")
    ] = None,
    invert: Annotated[
        bool | None,
        Option("--invert", help="transfer, vary: start from the recording's own noise."),
    ] = None,
    like: Annotated[Path | None, Option(help="Be like this recording, instead of a text.")] = None,
    negative_prompt: Annotated[str, Option(help="What to steer away from.")] = "",
    steps: Annotated[int, Option(help="Denoising steps, 1 to 1000.")] = 25,
    guidance: Annotated[float, Option(help="How strictly to follow the prompt; 1 is plain.")] = 3.0,
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
    as_json: Annotated[bool, Option("--json", help="Print one JSON object per file.")] = False,
    debug: Annotated[bool, Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Make a new sound out of a recording.

    Example: latentfoley edit transfer violin.wav "a dog barking" --strength 0.6
    """
    from latentfoley.editing import EditRequest, prepare

    settings = {"strength": strength, "source_prompt": source_prompt, "invert": invert}
    request = EditRequest.build(
        kind,
        source,
        prompts or None,
        **{name: value for name, value in settings.items() if value is not None},
        like=like,
        negative_prompt=negative_prompt,
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
    paths = clip_paths(request, _names(request), out, format_)
    require_place(paths[0].parent)
    _say_what_is_lost(source)
    from latentfoley.loading import load

    with interruptible(paths) as written, progress_bar(quiet=as_json) as progress:
        loaded = load(model, device=device)
        clips = loaded.make(request, prepare(loaded, request), progress)
        written += deliver(clips, paths, may_replace=paths == [out], draw=None, as_json=as_json)


def _names(request: "EditRequest") -> list[str]:
    """Return what the clips of each prompt are called."""
    return [f"{request.kind} {request.source.stem} {text}" for text in request.prompts or ("",)]


def _say_what_is_lost(source: Path) -> None:
    """Say it where a recording has several channels; the result has one."""
    from latentfoley.containers import open_recording

    with open_recording(source) as file:
        channels, rate = file.channels, file.samplerate
    if channels > 1:
        typer.echo(f"{source}: {channels} channels at {rate} Hz are mixed down to one", err=True)
