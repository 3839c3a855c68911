"""What the recipes of all trainings have in common: the data and the run.

Relative paths in a recipe are relative to the folder the command runs in.
"""

from pathlib import Path
from typing import Literal

from pydantic import Field

from latentfoley.config import Config
from latentfoley.data.recordings import Clip, load_clips


class DataRecipe(Config):
    """What to train on: a manifest and the folder its paths start from."""

    manifest: Path
    folder: Path

    def clips(self, split: Literal["train", "valid"], sample_rate: int) -> list[Clip]:
        """Decode one split; see `load_clips`."""
        return load_clips(self.manifest, self.folder, split, sample_rate)


def recordings_size(
    train: list[Clip], validation: list[Clip], sample_rate: int
) -> dict[str, float]:
    """Return how many recordings there are of each split, and their seconds."""
    seconds = [
        sum(len(clip.waveform) for clip in clips) / sample_rate for clips in (train, validation)
    ]
    return {
        "recordings": len(train),
        "duration_s": round(seconds[0], 1),
        "validation": len(validation),
        "validation_duration_s": round(seconds[1], 1),
    }


def some(clips: list[Clip], most: int = 64) -> list[Clip]:
    """Return up to `most` clips, evenly from all of them."""
    return clips[:: max(1, len(clips) // most)][:most]


class RunRecipe(Config):
    """How long, how fast, how often to save and to validate. Times are in steps."""

    folder: Path
    steps: int = Field(ge=1)
    # Clips in a step, over all processes and micro-batches.
    batch_size: int = Field(ge=1)
    # Micro-batches of a process, one after the other: less memory, same result.
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
