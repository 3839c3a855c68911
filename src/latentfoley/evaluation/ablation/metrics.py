"""The metrics that an ablation can compare, by name; what they are stands in their own files.

There are two kinds. Metrics of clips give every clip a number, and cells are compared by means.
Metrics of sets give a number to a set of rows, features or logits, and to nothing smaller.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from latentfoley.evaluation.features.extract import Heard
from latentfoley.evaluation.metrics.clap_score import cosines
from latentfoley.evaluation.metrics.diversity import diversity_score
from latentfoley.evaluation.metrics.frechet import frechet_distance
from latentfoley.evaluation.metrics.inception import inception_score
from latentfoley.evaluation.metrics.kernel import kad_score, kid_score
from latentfoley.evaluation.metrics.loudness import Levels
from latentfoley.evaluation.metrics.score import Bootstrap, Rows, Values

_NO_INTERVAL = Bootstrap(resamples=0)  # the ablation draws its own, by prompts


@dataclass(frozen=True, eq=False)
class Take:
    """The clips of one model in one cell, as one embedder hears them.

    Attributes:
        heard: their features.
        texts: the embeddings of their prompts; None where the embedder knows no words.
        classes: the place of each clip's label among the logits; None without a judge.
    """

    heard: Heard
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
    """A number per clip; None from an embedder that cannot tell."""

    of: Callable[[Take], Values | None]
    share: bool = False


@dataclass(frozen=True)
class SetMetric(Metric):
    """A number per set of rows: features of `rows`, or the `logits` of a classifier."""

    of: Callable[[Rows, Rows], float]
    source: Literal["rows", "logits"] = "rows"


def _clap_score(take: Take) -> Values | None:
    return None if take.texts is None else cosines(take.heard.per_clip, take.texts)


def _recognised(take: Take) -> Values | None:
    if take.classes is None or take.heard.logits is None:
        return None
    hits: Values = (take.heard.logits.argmax(axis=1) == take.classes).astype(np.float64)
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
    "clipped clips": LevelMetric(
        "share of clips", "lower", lambda levels: float(levels.clipped), share=True
    ),
}  # fmt: skip
