"""A recipe: a TOML file that says everything about a training run.

Relative paths in a recipe are relative to the folder the command runs in.
"""

import tomllib
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


class RunRecipe(Config):
    """How long, how fast, how often to save and to look."""

    folder: Path
    steps: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    learning_rate: float = Field(gt=0)
    # The rate rises linearly over the warm-up and falls along a half cosine to `final_rate` of it.
    warmup_steps: int = Field(default=100, ge=0)
    final_rate: float = Field(default=0.05, ge=0, le=1)
    gradient_clip: float = Field(default=1.0, gt=0)
    seed: int = 0
    precision: Literal["fp32", "bf16"] = "bf16"
    log_every: int = Field(default=20, ge=1)
    checkpoint_every: int = Field(default=500, ge=1)
    preview_every: int = Field(default=1000, ge=1)


R = TypeVar("R", bound=Config)


def read_recipe(path: Path, kind: type[R]) -> R:
    """Read a TOML recipe of the given kind.

    Raises:
        RecipeError: no such file, not TOML, an unknown or missing key, a value out of range.
    """
    if not path.is_file():
        raise RecipeError(f"there is no recipe at {path}.{nearest_files(path)}")
    try:
        values: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise RecipeError(f"{path} is not valid TOML: {error}") from None
    return kind.parse(values, where=str(path))
