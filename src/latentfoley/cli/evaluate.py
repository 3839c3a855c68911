"""`latentfoley evaluate`: two sets of sounds → scores; a model generates its set first."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from latentfoley.cli import options
from latentfoley.cli.output import require_file_place, require_place
from latentfoley.errors import InputError
from latentfoley.progress import progress_bar

if TYPE_CHECKING:
    from latentfoley.evaluation.evaluate import Evaluation
    from latentfoley.evaluation.sets.clips import ClipSet
    from latentfoley.evaluation.sets.prompts import Prompt

Option = typer.Option

# How a model generates; of no meaning where sounds are given.
_FOR_MODELS = (
    "captions", "out", "negative_prompt", "duration", "steps", "guidance", "sampler", "spacing",
    "eta", "fast", "seed", "candidates", "revision", "tokenizer", "prediction", "lora", "device",
    "dtype", "compat",
)  # fmt: skip


def evaluate(
    context: typer.Context,
    generated: Annotated[
        str,
        typer.Argument(help="Folder, place (s3://…) or manifest of generated sounds, or a model."),
    ],
    reference: Annotated[
        str, typer.Argument(help="Folder, place, manifest or prepared set of sounds.")
    ],
    dataset: Annotated[
        str | None,
        Option(help="REFERENCE is laid out as audiocaps, clotho, audioset or esc50."),
    ] = None,
    split: Annotated[str | None, Option(help="Of the data set; by default its usual one.")] = None,
    captions: Annotated[
        Path | None, Option(help="What a model is asked for: .txt, .csv, .tsv or .jsonl.")
    ] = None,
    embedder: Annotated[
        list[str] | None,
        Option(help="clap[=FOLDER], cnn14-16k[=FILE], cnn14-32k[=FILE], vggish[=FILE]."),
    ] = None,
    download: Annotated[
        bool, Option("--download", help="Fetch the published weights of embedders, once.")
    ] = False,
    protocol: Annotated[
        str, Option(help="latentfoley, or audioldm_eval to prepare and score as that tool.")
    ] = "latentfoley",
    reconstruction: Annotated[
        bool, Option("--reconstruction", help="Pairs are meant to be the same sound.")
    ] = False,
    training: Annotated[
        str | None, Option(help="Folder or place of the training sounds, to look for copies.")
    ] = None,
    limit: Annotated[int | None, Option(help="Only so many of each set, of every kind.")] = None,
    json_file: Annotated[
        Path | None, Option("--json", help="Write all scores here; - prints them.")
    ] = None,
    html_file: Annotated[
        Path | None, Option("--html", help="Write a page with sounds and pictures here.")
    ] = None,
    resamples: Annotated[int, Option(min=20, help="Draws behind the intervals.")] = 200,
    cache: Annotated[
        Path | None, Option(help="Folder of the cache; by default in ~/.cache.")
    ] = None,
    no_cache: Annotated[bool, Option("--no-cache", help="Compute all features again.")] = False,
    ray: options.OnRay = False,
    out: Annotated[Path, Option("-o", "--out", help="Where a model's clips are kept.")] = Path(
        "out/evaluate"
    ),
    negative_prompt: options.NegativePrompt = "",
    duration: options.Duration = 5.0,
    steps: options.Steps = None,
    guidance: options.Guidance = 2.5,
    sampler: options.SamplerName = "dpm++",
    spacing: options.SpacingName = None,
    eta: options.Eta = 0.0,
    fast: options.Fast = False,
    seed: options.Seed = 0,
    candidates: options.Candidates = 1,
    revision: options.Revision = None,
    tokenizer: options.Tokenizer = None,
    prediction: options.Prediction = None,
    lora: options.Lora = None,
    device: options.Device = None,
    dtype: options.Dtype = "auto",
    compat: options.CompatName = "trained",
) -> None:
    """Score generated sounds against reference sounds; every score comes with its interval.

    Example: latentfoley evaluate tiny AUDIOCAPS/ --dataset audiocaps --html report.html
    """
    from latentfoley.evaluation.evaluate import Settings, require_settings
    from latentfoley.evaluation.evaluate import evaluate as compare
    from latentfoley.evaluation.metrics.score import Bootstrap
    from latentfoley.evaluation.sets.datasets import reference_set
    from latentfoley.evaluation.sets.generated import is_model
    from latentfoley.evaluation.sets.prompts import wanted_prompts
    from latentfoley.files import cache_folder

    settings = Settings(
        embedders=tuple(embedder or ["clap"]),
        protocol=protocol,
        reconstruction=reconstruction,
        training=training,
        limit=limit,
        bootstrap=Bootstrap(resamples=resamples),
        cache=None if no_cache else cache or cache_folder("features"),
        ray=ray,
    )
    if json_file is not None and json_file != Path("-"):
        require_file_place(json_file, ".json")
    if html_file is not None:
        require_file_place(html_file, ".html", ".htm")
    if download:
        _fetch(settings.embedders)
    require_settings(settings)
    reference_clips = reference_set(reference, dataset, split)
    generated_clips: str | ClipSet = generated
    if is_model(generated, asked_for=captions is not None or dataset is not None):
        loading = {
            "revision": revision, "tokenizer": tokenizer, "prediction": prediction, "lora": lora,
            "device": device, "dtype": dtype, "compat": compat,
        }  # fmt: skip
        sampling = {
            "negative_prompt": negative_prompt, "duration_s": duration, "guidance": guidance,
            "sampler": sampler, "spacing": spacing, "eta": eta, "fast": fast,
            "seed": seed, "candidates": candidates, **options.given(steps=steps),
        }  # fmt: skip
        wanted = wanted_prompts(captions, reference_clips)
        generated_clips = _generate(generated, loading, wanted, out, limit, sampling)
    else:
        _refuse_for_sounds(context, generated)
    _report(compare(generated_clips, reference_clips, settings), json_file, html_file)


def _fetch(specs: tuple[str, ...]) -> None:
    """Download what the embedders need, saying what and on which terms."""
    from latentfoley.evaluation.embedders.published import fetch

    for spec in specs:
        with progress_bar("fetching") as progress:
            fetch(spec, lambda text: typer.echo(text, err=True), progress)


def _generate(
    model: str,
    loading: dict[str, Any],
    wanted: "list[Prompt]",
    out: Path,
    limit: int | None,
    sampling: dict[str, Any],
) -> "ClipSet":
    """Return the set that a model generates; clips from before a Ctrl-C are found again."""
    from latentfoley.evaluation.sets.generated import generate_set
    from latentfoley.loading import load

    require_place(out)
    try:
        with progress_bar("generating") as progress:
            return generate_set(
                load(model, **loading), wanted, out, limit=limit, progress=progress, **sampling
            )
    except KeyboardInterrupt as stop:
        stop.add_note("finished clips are kept; the same command generates the rest")
        raise


def _refuse_for_sounds(context: typer.Context, generated: str) -> None:
    """Refuse options that would change nothing.

    Raises:
        InputError: an option that only a model has was given.
    """
    for name in _FOR_MODELS:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise InputError(
                f"--{name.replace('_', '-')} says how a model generates, and '{generated}' is "
                "no model"
            )


def _report(evaluation: "Evaluation", json_file: Path | None, html_file: Path | None) -> None:
    from rich.console import Console
    from rich.markup import escape

    from latentfoley.evaluation import report
    from latentfoley.webpage import write_page

    for warning in evaluation.warnings:
        Console(stderr=True, soft_wrap=True, highlight=False).print(
            f"[bold yellow]warning:[/] {escape(warning)}"
        )
    if html_file is not None:
        write_page(html_file, report.page(evaluation))
    if json_file == Path("-"):
        typer.echo(report.to_json(evaluation), nl=False)
        return
    if json_file is not None:
        write_page(json_file, report.to_json(evaluation))
    Console().print(report.table(evaluation))
