"""A manifest: one JSON object a line, one recording each.

Captions and labels are optional everywhere: the VAE, the vocoder and the diffusion model read
neither. Only CLAP does, which is where words meet sounds.
"""

import json
from pathlib import Path
from typing import Literal

from latentfoley.config import Config
from latentfoley.errors import RecipeError, nearest_files


class Entry(Config):
    """One recording. `path` is relative to the data folder the trainer is given."""

    path: str
    split: Literal["train", "valid"] = "train"
    captions: tuple[str, ...] = ()
    # Clips that share a label are not told apart by CLAP's contrastive loss.
    labels: tuple[str, ...] = ()
    title: str = ""
    author: str = ""
    source_url: str = ""
    licence: str = ""


def read_manifest(path: Path) -> list[Entry]:
    """Return every entry of a JSONL manifest.

    Raises:
        RecipeError: the file is missing, empty, or a line is not a valid entry (with its number).
    """
    if not path.is_file():
        raise RecipeError(f"there is no manifest at {path}.{nearest_files(path)}")
    try:
        # Only a line feed ends a line: a caption may hold the other separators of Unicode.
        lines = path.read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path} is not UTF-8 ({error})") from None
    entries = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            entries.append(Entry.parse(_object(line, path, number), where=f"{path}:{number}"))
    if not entries:
        raise RecipeError(f"the manifest {path} lists no recordings")
    return entries


def write_manifest(path: Path, entries: list[Entry]) -> None:
    """Write entries as JSONL, leaving out what is empty."""
    lines = [json.dumps(entry.model_dump(exclude_defaults=True)) for entry in entries]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _object(line: str, path: Path, number: int) -> dict[str, object]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        said = getattr(error, "msg", error)
        raise RecipeError(f"{path}:{number}: not JSON ({said})") from None
    if not isinstance(value, dict):
        raise RecipeError(f"{path}:{number}: expected a JSON object, got {type(value).__name__}")
    return value
