"""What an embedder is: sound → features."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Float32, Float64

from latentfoley.evaluation.features.preprocess import AudioPreprocessing


@dataclass(frozen=True, eq=False)
class Features:
    """The features of one clip.

    Attributes:
        windows: one row per window of the clip, one or more.
        logits: of the embedder's classes; None where it has none.
    """

    windows: Float64[np.ndarray, "W D"]
    logits: Float64[np.ndarray, "K"] | None = None


class Embedder(Protocol):
    """Anything that turns sounds into features, the same ones for the same sound."""

    @property
    def name(self) -> str:
        """A short name, for tables: "cnn14-16k"."""

    @property
    def weights_hash(self) -> str:
        """SHA-256 of the weights, hexadecimal; two embedders that differ never share one."""

    @property
    def preprocessing(self) -> AudioPreprocessing:
        """How files become the samples that it takes."""

    @property
    def pooled(self) -> bool:
        """Whether sets are made of windows (VGGish) instead of one mean per clip."""

    @property
    def classes(self) -> str:
        """What the logits stand for, for tables; "" where there are none."""

    def embed(self, waveforms: Sequence[Float32[np.ndarray, "N"]]) -> list[Features]:
        """Return the features of sounds after `preprocessing`, each as if it were alone.

        Called from several threads at once.
        """


class TextEmbedder(Embedder, Protocol):
    """An embedder that puts texts into the same space."""

    def embed_texts(self, texts: list[str]) -> Float64[np.ndarray, "B D"]:
        """Return one row per text."""


def class_names(embedder: Embedder) -> tuple[str, ...]:
    """Return what the logits of a classifier stand for, in their order; () of other embedders."""
    return tuple(getattr(embedder, "class_names", ()))
