"""The options of `generate` and `edit` by name and type, so that editors complete them.

What they mean stands in `request.py`, `editing/request.py` and `finishing.py`; a test holds these
names and types to the requests.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict


class SamplingOptions(TypedDict, total=False):
    """The options that generations and edits share; see `SamplingRequest` and `Finishing`."""

    audio_prompt: str | Path | None
    negative_prompt: str
    steps: int
    guidance: float
    sampler: str
    spacing: str | None
    eta: float
    fast: bool
    seed: int
    n: int
    candidates: int
    index: int
    candidate: int
    trim: bool
    fade_in_s: float
    fade_out_s: float
    normalise_lufs: float | None
    sample_rate: int | None
    channels: int


class GenerationOptions(SamplingOptions, total=False):
    """The options of `generate`; see `GenerationRequest`."""

    duration_s: float
    loop: bool


class EditOptions(SamplingOptions, total=False):
    """The options of `edit`; see `EditRequest`, and `SETTINGS` for those of each kind."""

    strength: float
    source_prompt: str
    invert: bool
    spans: Sequence[tuple[float, float]]
    bands: Sequence[tuple[float, float]]
    repeats: int
    before_s: float
    after_s: float
    cutoff_hz: float | None
    seam_s: float
    other: str | Path | None
    mix: float
