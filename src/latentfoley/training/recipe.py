"""A recipe: a TOML file that says everything about a training run.

Relative paths in a recipe are relative to the folder the command runs in.
"""

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import Field

from latentfoley.config import Config
from latentfoley.data.recordings import Clip, load_clips
from latentfoley.errors import RecipeError, nearest_files


class DataRecipe(Config):
    """What to train on: a manifest and the folder its paths start from."""

    manifest: Path
    folder: Path

    def clips(self, split: Literal["train", "valid"], sample_rate: int) -> list[Clip]:
        """Decode one split; see `load_clips`."""
        return load_clips(self.manifest, self.folder, split, sample_rate)


def recordings_size(train: list[Clip], held_out: list[Clip], sample_rate: int) -> dict[str, float]:
    """Return how many recordings there are of each split, and their seconds."""
    seconds = [
        sum(len(clip.waveform) for clip in clips) / sample_rate for clips in (train, held_out)
    ]
    return {
        "recordings": len(train),
        "duration_s": round(seconds[0], 1),
        "held_out": len(held_out),
        "held_out_duration_s": round(seconds[1], 1),
    }


def some(clips: list[Clip], most: int = 64) -> list[Clip]:
    """Return up to `most` clips, evenly from all of them."""
    return clips[:: max(1, len(clips) // most)][:most]


class RunRecipe(Config):
    """How long, how fast, how often to save and to look. Times are in steps."""

    folder: Path
    steps: int = Field(ge=1)
    # Clips in a step, over all processes and parts.
    batch_size: int = Field(ge=1)
    # Parts of the batch that go through the network one after the other: less memory, same result.
    accumulate: int = Field(default=1, ge=1)
    learning_rate: float = Field(gt=0)
    # The rate rises linearly over the warm-up and falls along a half cosine to `final_rate` of it.
    warmup_steps: int = Field(default=100, ge=0)
    final_rate: float = Field(default=0.05, ge=0, le=1)
    # Greatest norm of a gradient; a longer one is scaled down to it.
    gradient_clip: float = Field(default=1.0, gt=0)
    seed: int = 0
    # Of the forward pass; weights and optimiser are fp32 always.
    precision: Literal["fp32", "bf16", "fp16"] = "bf16"
    # Compute the insides of blocks a second time in the backward pass instead of keeping them.
    activation_checkpointing: bool = False
    # Compile the networks first (torch.compile): minutes at the start, then faster steps.
    compile: bool = False
    log_every: int = Field(default=20, ge=1)
    checkpoint_every: int = Field(default=500, ge=1)
    # Checkpoints that stay, the newest; the best on held-out recordings stays besides.
    keep: int = Field(default=3, ge=1)
    validate_every: int = Field(default=1000, ge=1)
    preview_every: int = Field(default=1000, ge=1)


R = TypeVar("R", bound=Config)


def read_recipe(path: Path, kind: type[R], overrides: Sequence[str] = ()) -> R:
    """Read a TOML recipe of the given kind; `overrides` such as `run.steps=100` replace values.

    Raises:
        RecipeError: no such file, not TOML, an unknown or missing key, a value out of range.
    """
    if not path.is_file():
        raise RecipeError(f"there is no recipe at {path}.{nearest_files(path)}")
    try:
        values: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise RecipeError(f"{path} is not valid TOML: {error}") from None
    for override in overrides:
        _override(values, override)
    return kind.parse(values, where=" --set ".join([str(path), *overrides]))


def _override(values: dict[str, Any], override: str) -> None:
    """Set what `table.key=value` says; tables that are not there yet are made."""
    name, equals, text = override.partition("=")
    *tables, key = (part.strip() for part in name.split("."))
    if not equals or not all((*tables, key)):
        raise RecipeError(
            f"--set {override}: give key=value or table.key=value, as in --set run.steps=100"
        )
    for table in tables:
        values = values.setdefault(table, {})
        if not isinstance(values, dict):
            raise RecipeError(f"--set {override}: '{table}' is a value, not a table")
    values[key] = _parse(text.strip())


def _parse(text: str) -> Any:
    """Return a TOML value; what is none is a bare string, so that paths need no quotes."""
    try:
        parsed = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return parsed["value"] if len(parsed) == 1 else text
