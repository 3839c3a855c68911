"""The options that several commands share: one meaning, one help text."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from typer import Option

# Written out, because the modules that have them take seconds to import.
SAMPLER_NAMES = ("ddim", "ddpm", "dpm++", "dpm++sde", "unipc", "euler", "heun")
SPACING_NAMES = ("uniform", "trailing", "karras")
EDITS = ("transfer", "vary", "inpaint", "extend", "upsample", "loop", "morph")


def one_of(*words: str) -> Callable[[str], list[str]]:
    """Return what a shell completes: those of the words that begin as typed."""
    return lambda incomplete: [word for word in words if word.startswith(incomplete)]


def given(**options: Any) -> dict[str, Any]:
    """Return the options that were given: a request has defaults of its own for the others."""
    return {name: value for name, value in options.items() if value is not None}


Out = Annotated[
    Path, Option("-o", "--out", help="Folder, where no other sound is overwritten, or file's name.")
]
AudioPrompt = Annotated[Path | None, Option(help="A recording in place of a text: sound like it.")]
NegativePrompt = Annotated[str, Option(help="What to steer away from.")]
Duration = Annotated[float, Option(help="Seconds per clip, 0.1 to 3600.")]
Steps = Annotated[
    int | None, Option(help="Denoising steps, 1 to 1000.", show_default="25; 8 with --fast")
]
Fast = Annotated[
    bool,
    Option("--fast", help="Fewer steps, and guidance only where it matters; see docs/speed.md."),
]
Guidance = Annotated[float, Option(help="How strictly to follow the prompt; 1 is plain.")]
SamplerName = Annotated[
    str,
    Option(
        help="ddim, ddpm, dpm++, dpm++sde, unipc, euler or heun.",
        autocompletion=one_of(*SAMPLER_NAMES),
    ),
]
SpacingName = Annotated[
    str | None,
    Option(
        help="uniform, trailing or karras; by default the sampler's own.",
        autocompletion=one_of(*SPACING_NAMES),
    ),
]
Eta = Annotated[float, Option(help="Fresh noise in ddim, 0 to 1.")]
Seed = Annotated[int, Option(help="Same seed, same sounds.")]
Count = Annotated[int, Option("-n", "--n", help="Clips per prompt.")]
Candidates = Annotated[int, Option(help="Sounds tried per clip; CLAP keeps the best.")]
Index = Annotated[int, Option(help="Number of the first clip, to make one of many again.")]
Candidate = Annotated[int, Option(help="Number of the first candidate.")]
Trim = Annotated[bool, Option("--trim", help="Cut silence off at both ends.")]
FadeIn = Annotated[float, Option(help="Seconds over which the sound rises from silence.")]
FadeOut = Annotated[float, Option(help="Seconds over which it falls to silence.")]
Normalise = Annotated[
    float | None,
    Option(help="Loudness in LUFS, -60 to 0; less where true peaks would pass -1 dBTP."),
]
Rate = Annotated[
    int | None, Option(help="Sample rate of the files in Hz, for example 48000; resampled.")
]
Channels = Annotated[int, Option(help="1, or 2 that are the same.")]
ModelName = Annotated[str, Option("-m", "--model", help="tiny, a folder, a hub id or a .ckpt.")]
Revision = Annotated[str | None, Option(help="Branch, tag or commit of a hub id.")]
Tokenizer = Annotated[
    str | None, Option(help="Folder or hub id of a .ckpt's tokenizer; by default roberta-base.")
]
Prediction = Annotated[
    str | None, Option(help="What a .ckpt predicts: epsilon or v_prediction; by default epsilon.")
]
Lora = Annotated[
    Path | None, Option(help="Folder of a LoRA adapter to merge into the model's denoiser.")
]
Device = Annotated[str | None, Option(help="cpu, cuda, mps; by default the fastest.")]
Dtype = Annotated[
    str,
    Option(
        help="Precision: fp32 (exact), bf16, int8, fp16, or auto: the fastest of int8, bf16 and "
        "fp32 for this model and machine.",
        autocompletion=one_of("auto", "fp32", "bf16", "int8", "fp16"),
    ),
]
CompatName = Annotated[
    str,
    Option(
        help="Published configs: trained, or diffusers for its reading of them.",
        autocompletion=one_of("trained", "diffusers"),
    ),
]
Format = Annotated[
    str | None,
    Option(
        "--format",
        help="wav, flac, ogg or mp3; by default wav.",
        autocompletion=one_of("wav", "flac", "ogg", "mp3"),
    ),
]
Page = Annotated[
    Path | None, Option(help="Write a page of all takes here: players, pictures, commands.")
]
Quiet = Annotated[bool, Option("-q", "--quiet", help="Say nothing but warnings and errors.")]
AsJson = Annotated[bool, Option("--json", help="Print one JSON object per file.")]
OnRay = Annotated[
    bool, Option("--ray", help="Work on Ray: here, or on the cluster of RAY_ADDRESS.")
]
