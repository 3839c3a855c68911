"""The published configs against the published weights: two settings, and which one is active.

The configs of `cvssp/audioldm-*` say 8 attention heads at every level and a LayerNorm ε of 1e-12.
The weights were trained with 32 channels per head (64 for L) and, in the text tower, ε = 1e-5.
"trained" is the function the weights were trained for, "diffusers" the one that diffusers computes
from the same folder (docs/decisions/0008-what-the-weights-were-trained-with.md).
"""

from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar, get_args

from latentfoley.errors import InputError, nearest

Compat = Literal["trained", "diffusers"]
V = TypeVar("V")

PUBLISHED_HEADS = 8  # what every published UNet config says
PUBLISHED_EPS = 1e-12  # the default of transformers, which no published config overrides
TRAINED_EPS = 1e-5  # roberta-base


@dataclass(frozen=True)
class Choice(Generic[V]):
    """A setting that is active, and why."""

    value: V
    why: str


def require_mode(mode: str) -> Compat:
    """Return `mode`.

    Raises:
        InputError: it is neither "trained" nor "diffusers".
    """
    if mode not in get_args(Compat):
        raise InputError(f"compat '{mode}' is not known; {nearest(mode, get_args(Compat))}")
    return mode  # type: ignore[return-value]


def heads(written: Any, widths: list[int], mode: Compat) -> Choice[Any]:
    """Return the attention heads of each level, from what a UNet's config says."""
    if not isinstance(written, int):
        return Choice(written, "written level by level in unet/config.json")
    if mode == "diffusers":
        return Choice([written] * len(widths), f"diffusers reads {written} as heads of every level")
    if written != PUBLISHED_HEADS:
        return Choice([written] * len(widths), "one number in unet/config.json, for every level")
    per_head = head_channels(widths)
    why = f"trained with {per_head} channels per head; the published config says 8 everywhere"
    return Choice([max(1, width // per_head) for width in widths], why)


def head_channels(widths: list[int]) -> int:
    """Return the channels per head that a size was trained with: 32 for S and M, 64 for L."""
    return 64 if widths[0] == 256 else 32


def text_eps(written: float, written_heads: Any, mode: Compat) -> Choice[float]:
    """Return the text tower's LayerNorm ε.

    A plain 8 for the heads marks a published folder: what we write lists its heads, and states
    the ε it means.
    """
    if mode == "diffusers" or written != PUBLISHED_EPS or written_heads != PUBLISHED_HEADS:
        return Choice(written, "written in text_encoder/config.json")
    why = "trained with roberta-base's 1e-5; the published config has transformers' default 1e-12"
    return Choice(TRAINED_EPS, why)
