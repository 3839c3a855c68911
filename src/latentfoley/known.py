"""What a model knows: its kinds of sound, and whether a text is far from all of them.

A model answers every text with a sound. Where it was trained on ten kinds, that sound is one of the
ten, whatever was asked for. A folder may hold the texts that its kinds are asked for with, as
vectors of its own text tower; a prompt whose nearest one is not near is answered all the same, and
said to be far. It does not know about files: `checkpoints/known_kinds.py` does.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

NAMED = 3  # kinds that are named as the nearest


@dataclass(frozen=True)
class FarPrompt:
    """A text that is far from every kind a model knows.

    Attributes:
        text: as it was asked for; of a blend, the part that is far.
        cosine: to the nearest known text, from -1 to 1.
        nearest: the kinds that are nearest, the nearest first.
    """

    text: str
    cosine: float
    nearest: tuple[str, ...]

    @property
    def message(self) -> str:
        """The warning, one sentence."""
        return (
            f"'{self.text}' is far from what this model knows; nearest: {', '.join(self.nearest)}"
        )


@dataclass(frozen=True, eq=False)
class KnownKinds:
    """The kinds of sound that a model was trained on.

    Attributes:
        kinds: the kind of every known text.
        signatures: of every known text, unit vectors; see `TextTower.signatures`.
        threshold: the cosine below which a text is far; `benchmarks/tiny/known.py` measures it.
    """

    kinds: tuple[str, ...]
    signatures: Float[Tensor, "N S"]
    threshold: float

    @property
    def names(self) -> tuple[str, ...]:
        """Every kind, once."""
        return tuple(dict.fromkeys(self.kinds))

    def far(
        self, texts: Sequence[str], signatures: Float[Tensor, "B S"]
    ) -> tuple[FarPrompt | None, ...]:
        """Return for each text what is said of it, or None where a known text is near."""
        cosines = signatures @ self.signatures.to(signatures).T  # (B, N)
        return tuple(
            None if row.max() >= self.threshold else self._far(text, row)
            for text, row in zip(texts, cosines, strict=True)
        )

    def _far(self, text: str, cosines: Float[Tensor, "N"]) -> FarPrompt:
        ordered = [self.kinds[k] for k in cosines.argsort(descending=True).tolist()]
        return FarPrompt(text, float(cosines.max()), tuple(dict.fromkeys(ordered))[:NAMED])
