"""`latentfoley generate`: prompts → files."""

from pathlib import Path
from typing import Annotated

import typer

from latentfoley.cli import options
from latentfoley.cli.output import Delivery, clip_paths, interruptible

Option = typer.Option


def generate(
    prompts: Annotated[
        list[str] | None,
        typer.Argument(help='What to hear; a blend is "rain @0.7 + a dog barking @0.3".'),
    ] = None,
    out: options.Out = Path("out"),
    from_: Annotated[
        Path | None,
        Option(
            "--from",
            help="Prompts from a .txt (one a line), .csv, .tsv or .jsonl ('prompt', 'caption' …).",
        ),
    ] = None,
    audio_prompt: options.AudioPrompt = None,
    negative_prompt: options.NegativePrompt = "",
    duration: options.Duration = 5.0,
    loop: Annotated[bool, Option("--loop", help="Let the end lead on to the beginning.")] = False,
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
    plot: Annotated[bool, Option("--plot", help="Write a picture beside every file.")] = False,
    page: options.Page = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
) -> None:
    """Generate sounds from texts.

    Example: latentfoley generate "a dog barking" "rain on a tent" -o out/
    """
    from latentfoley.checkpoints.hub import require_reachable

    require_reachable(model, revision)
    from latentfoley.data.prompts import read_prompts
    from latentfoley.request import GenerationRequest

    texts = [*(prompts or []), *(row.text for row in (read_prompts(from_) if from_ else ()))]
    request = GenerationRequest.build(
        texts or None,
        audio_prompt=audio_prompt,
        negative_prompt=negative_prompt,
        duration_s=duration,
        loop=loop,
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
    names = request.prompts or (f"like {request.audio_prompt.stem}",)  # type: ignore[union-attr]
    paths = clip_paths(request, names, out, format_)
    delivery = Delivery(plot=plot, page=page, as_json=as_json, quiet=quiet)
    delivery.require_places(paths[0].parent)
    from latentfoley.clip import Clip
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
        clips = loaded.run(request, progress)
        written += delivery.deliver(clips, paths, Clip.plot, may_replace=paths == [out])
