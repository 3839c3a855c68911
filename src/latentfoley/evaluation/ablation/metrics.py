"""The metrics that an ablation can compare, by name, and the embedders that they need.

There are two kinds. Metrics of clips give every clip a number, and cells are compared by means.
Metrics of sets give a number to a set of rows, features or logits, and to nothing smaller.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from latentfoley.errors import InputError, nearest
from latentfoley.evaluation.embedders import Embedder, class_names
from latentfoley.evaluation.features.extractors import FeatureSet
from latentfoley.evaluation.metrics.clap_score import cosines
from latentfoley.evaluation.metrics.diversity import diversity_score
from latentfoley.evaluation.metrics.frechet import frechet_distance
from latentfoley.evaluation.metrics.inception import inception_score
from latentfoley.evaluation.metrics.kernel import kad_score, kid_score
from latentfoley.evaluation.metrics.score import Bootstrap, Rows, Values
from latentfoley.evaluation.sets.prompts import Prompt
from latentfoley.levels import Levels

_NO_INTERVAL = Bootstrap(resamples=0)  # the ablation draws its own, by prompts


@dataclass(frozen=True, eq=False)
class CellFeatures:
    """The clips of one model in one cell, by one embedder.

    Attributes:
        features: of the clips.
        texts: the embeddings of their prompts; None from an embedder without texts.
        classes: the place of each clip's label among the logits; None without class names.
    """

    features: FeatureSet
    texts: Rows | None
    classes: np.ndarray | None


@dataclass(frozen=True)
class Metric:
    """What all metrics have."""

    unit: str
    better: Literal["lower", "higher", "neither"]
    takes_reference: bool = field(default=False, kw_only=True)


@dataclass(frozen=True)
class LevelMetric(Metric):
    """A number per clip that needs no embedder; `share` is one that is 0 or 1."""

    of: Callable[[Levels], float]
    share: bool = False


@dataclass(frozen=True)
class ClipMetric(Metric):
    """A number per clip; None from an embedder that cannot compute it."""

    of: Callable[[CellFeatures], Values | None]
    share: bool = False


@dataclass(frozen=True)
class SetMetric(Metric):
    """A number per set of rows: features of `rows`, or the `logits` of a classifier."""

    of: Callable[[Rows, Rows], float]
    source: Literal["rows", "logits"] = "rows"


def _clap_score(cell: CellFeatures) -> Values | None:
    return None if cell.texts is None else cosines(cell.features.per_clip, cell.texts)


def _recognised(cell: CellFeatures) -> Values | None:
    if cell.classes is None or cell.features.logits is None:
        return None
    hits: Values = (cell.features.logits.argmax(axis=1) == cell.classes).astype(np.float64)
    return hits


METRICS: dict[str, LevelMetric | ClipMetric | SetMetric] = {
    "recognised": ClipMetric("share of clips", "higher", _recognised, share=True),
    "CLAP score": ClipMetric("cosine", "higher", _clap_score),
    "FD": SetMetric("", "lower", frechet_distance, takes_reference=True),
    "KID": SetMetric(
        "", "lower", lambda x, y: kid_score(x, y, bootstrap=_NO_INTERVAL).value,
        takes_reference=True,
    ),
    "KAD": SetMetric(
        "", "lower", lambda x, y: kad_score(x, y, bootstrap=_NO_INTERVAL).value,
        takes_reference=True,
    ),
    "IS": SetMetric(
        "", "higher", lambda x, _: inception_score(x, bootstrap=_NO_INTERVAL).value, "logits"
    ),
    "diversity": SetMetric(
        "1 - cosine", "neither", lambda x, _: diversity_score(x, bootstrap=_NO_INTERVAL).value
    ),
    "loudness": LevelMetric("LUFS", "neither", lambda levels: levels.loudness_lufs),
    "silent clips": LevelMetric(
        "share of clips", "lower", lambda levels: float(levels.silent), share=True
    ),
    "silent frames": LevelMetric("share", "neither", lambda levels: levels.silent_frames),
    "clipped clips": LevelMetric(
        "share of clips", "lower", lambda levels: float(levels.clipped), share=True
    ),
}  # fmt: skip


def require_embedders(
    names: Sequence[str], embedders: Sequence[Embedder], prompts: Sequence[Prompt]
) -> None:
    """Check, before anything is generated, that every metric has an embedder that can compute it.

    Raises:
        InputError: names the metric and what it needs, or a label that is no class of a classifier.
    """
    able: dict[str, tuple[str, list[object]]] = {
        "recognised": ("a classifier, which has class names", [*map(class_names, embedders)]),
        "CLAP score": ("one with texts", [hasattr(one, "embed_texts") for one in embedders]),
        "IS": ("one with classes", [one.classes for one in embedders]),
    }
    for name in names:
        what, found = able.get(name, ("", [True]))
        if not any(found):
            given = ", ".join(one.name for one in embedders) or "none"
            raise InputError(f"'{name}' needs an embedder: {what}; given: {given}")
    for one in embedders:
        if "recognised" in names and class_names(one):
            _require_labels(one, prompts)


def _require_labels(classifier: Embedder, prompts: Sequence[Prompt]) -> None:
    names = class_names(classifier)
    for prompt in prompts:
        if prompt.label not in names:
            given = f"the label '{prompt.label}'" if prompt.label else "no label"
            raise InputError(
                f"{classifier.name} cannot recognise '{prompt.text}': it has {given}; "
                f"{nearest(prompt.label, names)}"
            )
