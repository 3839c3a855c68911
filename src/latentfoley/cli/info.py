"""`latentfoley info`: how a file came to be, and the command that makes it again.

A record read from a file was written by anyone: its settings become options only after the request
has been built from them, and everything is shown with control characters escaped.
"""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from latentfoley.errors import UserError, printable

if TYPE_CHECKING:
    from latentfoley.finishing import Finishing
    from latentfoley.provenance import Provenance


def info(
    files: Annotated[list[Path], typer.Argument(help="Sound files.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per file.")] = False,
) -> None:
    """Print the provenance that generated files carry, and the command that makes them again."""
    from latentfoley.provenance import read_provenance

    for file in files:
        provenance = read_provenance(file)
        if as_json:
            typer.echo("null" if provenance is None else provenance.to_comment())
            continue
        typer.echo(printable(str(file)))
        if provenance is None:
            typer.echo("  no provenance: not made by latentfoley, or its metadata was removed")
            continue
        for label, text in describe(provenance).items():
            typer.echo(f"  {label:16} {text}")


def describe(provenance: "Provenance") -> dict[str, str]:
    """Return what `latentfoley info` prints: label → text, in reading order.

    Control characters are escaped, so that a file cannot write to the terminal of its reader.
    """
    audio_prompt, edit = provenance.audio_prompt, provenance.edit
    clip = f"seed {provenance.seed}, index {provenance.index}, candidate {provenance.candidate}"
    sampling = (
        f"{provenance.sampler}, {provenance.steps} steps, {provenance.spacing} spacing, "
        f"eta {provenance.eta:g}{', fast' if provenance.fast else ''}"
    )
    where = f" on {provenance.device}" if provenance.device else ""
    rows = {
        "edit": f"{edit.kind} of {edit.source}" if edit else "",
        "settings": " ".join(f"{name}={value}" for name, value in edit.settings.items())
        if edit
        else "",
        "other": f"{edit.other}" if edit and edit.other else "",
        "prompt": provenance.prompt,
        "negative prompt": provenance.negative_prompt,
        "audio prompt": f"{audio_prompt}" if audio_prompt else "",
        "clip": clip,
        "sampling": sampling,
        "guidance": f"{provenance.guidance:g}",
        "duration": f"{provenance.duration_s:g} s" + (", a loop" if provenance.loop else ""),
        "finished": " ".join(word for option in finishing_options(provenance) for word in option),
        "model": f"{provenance.model} (hash {provenance.model_hash})",
        "revision": provenance.revision or "",
        "adapter": f"{provenance.lora}" if provenance.lora else "",
        "computed": f"{provenance.dtype}{where}, as {provenance.compat}",
        "made by": f"{provenance.program} {provenance.version}",
        "made on": f"{provenance.created:%Y-%m-%d %H:%M:%S} UTC",
        "identity": provenance.identity,
        "AI-generated": "yes",
        "again": _again(provenance),
    }
    return {label: printable(text) for label, text in rows.items() if text}


def _again(provenance: "Provenance") -> str:
    try:
        return command(provenance)
    except UserError as error:  # of a crafted or damaged record
        return f"no command makes it again: {error}"


def command(provenance: "Provenance") -> str:
    """Return the shell command that makes the same samples again.

    Every setting is spelt out, so that it does not depend on defaults that may change. Recordings
    that were an audio prompt or were edited have to be in the working folder.

    Raises:
        InputError: the record holds a setting that no request allows.
    """
    from latentfoley.editing.request import EditRequest
    from latentfoley.request import GenerationRequest

    if provenance.edit is None:
        generation = GenerationRequest.from_provenance(provenance)
        words, named = ["generate"], []
        options = [("--duration", str(generation.duration_s))]
        options += [("--loop", "")] if generation.loop else []
    else:
        edit = EditRequest.from_provenance(provenance)
        words, named = ["edit", edit.kind], [edit.source.name]
        options = list(edit_options(edit))
    finishing = finishing_options(provenance)
    for option, value in [*options, *_shared_options(provenance), *finishing]:
        # A value that begins with a dash would be taken for an option if it stood alone.
        words += (
            [f"{option}={value}"] if value[:1] == "-" else [option, value] if value else [option]
        )
    named += [provenance.prompt] if provenance.prompt else []
    if any(word[:1] == "-" for word in named):
        return _shell(["latentfoley", *words, "--", *named])
    start = 2 if provenance.edit else 1
    return _shell(["latentfoley", *words[:start], *named, *words[start:]])


def _shared_options(provenance: "Provenance") -> list[tuple[str, str]]:
    """Return the options that `generate` and `edit` share; none that is empty."""
    options: dict[str, object] = {
        "--negative-prompt": provenance.negative_prompt,
        "--audio-prompt": provenance.audio_prompt.file if provenance.audio_prompt else "",
        "--seed": provenance.seed,
        "--index": provenance.index,
        "--candidate": provenance.candidate,
        "--sampler": provenance.sampler,
        "--steps": provenance.steps,
        "--spacing": provenance.spacing,
        "--eta": provenance.eta,
        "--guidance": provenance.guidance,
        "--model": provenance.model,
        "--revision": provenance.revision or "",
        "--tokenizer": provenance.tokenizer or "",
        "--prediction": provenance.prediction or "",
        "--lora": provenance.lora.name if provenance.lora else "",
        "--dtype": provenance.dtype,
        "--compat": provenance.compat,
    }
    flags = [("--fast", "")] if provenance.fast else []
    return [(option, str(value)) for option, value in options.items() if str(value)] + flags


def finishing_options(finishing: "Finishing") -> list[tuple[str, str]]:
    """Return what differs from the defaults of `Finishing` as options; a flag's value is ""."""
    from latentfoley.finishing import NAMES

    fields = type(finishing).model_fields
    return [
        pair
        for name in NAMES
        if getattr(finishing, name) != fields[name].default
        for pair in _words(_option(name), getattr(finishing, name))
    ]


# Settings that are named otherwise on the command line.
_OPTIONS = {"spans": "--from", "bands": "--band", "other": "--with", "sample_rate": "--rate"}


def _option(name: str) -> str:
    word = re.sub("_(s|hz|lufs)$", "", name).replace("_", "-")
    return _OPTIONS.get(name, f"--{word}")


def edit_options(request: Any) -> Iterator[tuple[str, str]]:
    """Yield the settings of an `EditRequest` as options with values; a flag's value is ""."""
    from latentfoley.editing.request import SETTINGS

    for name in SETTINGS[request.kind]:
        yield from _words(_option(name), getattr(request, name))


def _words(option: str, value: Any) -> Iterator[tuple[str, str]]:
    """Yield the options that give a setting; none for what is not set."""
    if value is None or value is False or value == "":
        return
    if option == "--from":
        for start, stop in value:
            yield from (("--from", str(start)), ("--to", str(stop)))
    elif option == "--band":
        yield from ((option, f"{low}:{high}") for low, high in value)
    elif isinstance(value, Path):
        yield option, value.name
    else:
        yield option, "" if value is True else str(value)


def _shell(words: list[str]) -> str:
    return " ".join(_quote(word) for word in words)


def _quote(word: str) -> str:
    """Quote a word for the shell; control characters as $'\\x1b', so that they can be printed."""
    if word.isprintable():
        return shlex.quote(word)
    escaped = "".join(
        c if c.isprintable() and c not in "\\'" else "".join(f"\\x{b:02x}" for b in c.encode())
        for c in word
    )
    return f"$'{escaped}'"
