"""`latentfoley edit`: a recording → files."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from latentfoley.cli import options
from latentfoley.cli.output import Delivery, clip_paths, interruptible
from latentfoley.errors import InputError

if TYPE_CHECKING:
    from latentfoley.editing import EditRequest

Option = typer.Option


def edit(
    kind: Annotated[
        str,
        typer.Argument(
            help="transfer, vary, inpaint, extend, upsample, loop or morph.",
            autocompletion=options.one_of(*options.EDITS),
        ),
    ],
    source: Annotated[Path, typer.Argument(help="The recording to edit.")],
    prompts: Annotated[
        list[str] | None,
        typer.Argument(help="What to hear; without one, the recording itself is the guide."),
    ] = None,
    out: options.Out = Path("out"),
    strength: Annotated[
        float | None,
        Option(
            help="transfer, vary, morph: depth, 0 to 1. [default: transfer 0.6, vary 0.5, morph 1]"
        ),
    ] = None,
    source_prompt: Annotated[
        str | None, Option(help="transfer: what the recording is, to be led away from.")
    ] = None,
    invert: Annotated[
        bool | None,
        Option("--invert", help="transfer, vary: start from the recording's own noise."),
    ] = None,
    from_: Annotated[
        list[float] | None, Option("--from", help="inpaint: where a span begins, in seconds.")
    ] = None,
    to: Annotated[
        list[float] | None, Option("--to", help="inpaint: where it ends; once for every --from.")
    ] = None,
    band: Annotated[
        list[str] | None, Option("--band", help="inpaint: a band in Hz, for example 2000:8000.")
    ] = None,
    before: Annotated[float | None, Option(help="extend: seconds to add at the start.")] = None,
    after: Annotated[float | None, Option(help="extend: seconds to add at the end.")] = None,
    cutoff: Annotated[
        float | None, Option(help="upsample: regenerate what is above, in Hz. [default: found]")
    ] = None,
    seam: Annotated[
        float | None, Option(help="loop: seconds regenerated around the seam. [default: 0.5]")
    ] = None,
    with_: Annotated[Path | None, Option("--with", help="morph: the second recording.")] = None,
    mix: Annotated[
        float | None, Option(help="morph: 0 is the first recording, 1 the second. [default: 0.5]")
    ] = None,
    repeats: Annotated[
        int | None,
        Option(
            help="inpaint, extend, upsample, loop: passes over every step, 1 to 20. [default: 1]"
        ),
    ] = None,
    audio_prompt: options.AudioPrompt = None,
    negative_prompt: options.NegativePrompt = "",
    steps: options.Steps = None,
    guidance: options.Guidance = 2.5,
    sampler: options.SamplerName = "dpm++",
    spacing: options.SpacingName = None,
    eta: options.Eta = 0.0,
    fast: options.Fast = False,
    seed: options.Seed = 0,
    n: options.Count = 1,
    candidates: options.Candidates = 1,
    index: options.Index = 0,
    candidate: options.Candidate = 0,
    trim: options.Trim = False,
    fade_in: options.FadeIn = 0.0,
    fade_out: options.FadeOut = 0.0,
    normalise: options.Normalise = None,
    rate: options.Rate = None,
    channels: options.Channels = 1,
    model: options.ModelName = "tiny",
    revision: options.Revision = None,
    tokenizer: options.Tokenizer = None,
    prediction: options.Prediction = None,
    lora: options.Lora = None,
    device: options.Device = None,
    dtype: options.Dtype = "auto",
    compat: options.CompatName = "trained",
    format_: options.Format = None,
    plot: Annotated[
        bool, Option("--plot", help="Write a picture beside every file: before, mask, after.")
    ] = False,
    page: options.Page = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
) -> None:
    """Make a new sound out of a recording.

    Example: latentfoley edit transfer violin.wav "a dog barking" --strength 0.6
    """
    from latentfoley.checkpoints.hub import require_reachable

    require_reachable(model, revision)
    from latentfoley import editing

    settings = {
        "strength": strength,
        "source_prompt": source_prompt,
        "invert": invert,
        "spans": _spans(from_, to),
        "bands": [_band(text) for text in band] if band else None,
        "before_s": before,
        "after_s": after,
        "cutoff_hz": cutoff,
        "seam_s": seam,
        "other": with_,
        "mix": mix,
        "repeats": repeats,
    }
    request = editing.EditRequest.build(
        kind,
        source,
        prompts or None,
        **options.given(**settings),
        audio_prompt=audio_prompt,
        negative_prompt=negative_prompt,
        **options.given(steps=steps),
        guidance=guidance,
        sampler=sampler,
        spacing=spacing,
        eta=eta,
        fast=fast,
        seed=seed,
        n=n,
        candidates=candidates,
        index=index,
        candidate=candidate,
        trim=trim,
        fade_in_s=fade_in,
        fade_out_s=fade_out,
        normalise_lufs=normalise,
        sample_rate=rate,
        channels=channels,
    )
    paths = clip_paths(request, _names(request), out, format_)
    _require_kept(paths, [source, audio_prompt, with_])
    delivery = Delivery(plot=plot, page=page, as_json=as_json, quiet=quiet)
    delivery.require_places(paths[0].parent)
    _say_what_is_lost(source)
    from latentfoley.loading import load

    with interruptible(paths, out) as written, delivery.bar() as progress:
        loaded = load(
            model,
            revision=revision,
            device=device,
            dtype=dtype,
            compat=compat,
            tokenizer=tokenizer,
            prediction=prediction,
            lora=lora,
        )
        mode = editing.prepare(loaded, request)
        clips, draw = loaded.make(mode, progress), partial(editing.plot, edit=mode)
        written += delivery.deliver(clips, paths, draw, may_replace=paths == [out])


def _spans(starts: list[float] | None, ends: list[float] | None) -> list[Any] | None:
    """Pair the values of --from and --to in their order.

    Raises:
        InputError: one of them is missing.
    """
    if len(starts or ()) != len(ends or ()):
        given = f"{len(starts or ())} --from and {len(ends or ())} --to"
        raise InputError(f"every span needs both --from and --to, got {given}")
    return list(zip(starts, ends, strict=True)) if starts and ends else None


def _band(text: str) -> tuple[float, float]:
    """Read "2000:8000".

    Raises:
        InputError: it is not two numbers.
    """
    low, _, high = text.partition(":")
    try:
        return float(low), float(high)
    except ValueError:
        raise InputError(f"a --band is two numbers in Hz like 2000:8000, got '{text}'") from None


def _require_kept(paths: list[Path], recordings: list[Path | None]) -> None:
    """Refuse to write over a recording that is read.

    Raises:
        InputError: one of the files would be.
    """
    for path in paths:
        if path.exists() and any(own and own.exists() and path.samefile(own) for own in recordings):
            raise InputError(f"'{path}' is the recording itself; give -o another name")


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
