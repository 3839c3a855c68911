"""Features and levels → the scores that apply to them, in sections: one per embedder, one for
levels, and one for pairs of the same sound.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from latentfoley.config import MelConfig
from latentfoley.errors import InputError
from latentfoley.evaluation.features.extractors import FeatureExtractor, FeatureSet
from latentfoley.evaluation.features.preprocess import Samples
from latentfoley.evaluation.metrics.clap_score import clap_score, clap_similarity
from latentfoley.evaluation.metrics.divergence import kl_sigmoid, kl_softmax
from latentfoley.evaluation.metrics.diversity import (
    diversity_score,
    memorisation_rate,
    nearest_training_score,
)
from latentfoley.evaluation.metrics.frechet import (
    frechet_infinity,
    frechet_per_clip,
    frechet_score,
)
from latentfoley.evaluation.metrics.inception import inception_score
from latentfoley.evaluation.metrics.kernel import kad_score, kid_score
from latentfoley.evaluation.metrics.loudness import (
    clipping_rate,
    loudness_score,
    silence_rate,
    silent_frames_score,
)
from latentfoley.evaluation.metrics.reconstruction import (
    lsd_score,
    mel_score,
    psnr_score,
    ssim_score,
    stft_score,
)
from latentfoley.evaluation.metrics.score import Bootstrap, Rows, Score
from latentfoley.levels import Levels
from latentfoley.mel import log_mel

_TOOL_SPLITS, _TOOL_EPS = 10, 1e-6  # of audioldm_eval


@dataclass(frozen=True)
class Section:
    """The scores of one embedder, and what they depend on; `embedder` is "" for levels."""

    embedder: str
    weights_hash: str
    classes: str
    preprocessing: dict[str, str | int]
    scores: tuple[Score, ...]


def level_section(levels: Sequence[Levels], bootstrap: Bootstrap) -> Section:
    """Score what needs no embedder: silence, clipping, loudness."""
    scores = (
        silence_rate(levels),
        silent_frames_score(levels, bootstrap=bootstrap),
        clipping_rate(levels),
        loudness_score(levels, bootstrap=bootstrap),
    )
    return Section("", "", "", {"sample_rate": "each file's own", "channels": "mean"}, scores)


@dataclass(frozen=True, kw_only=True, eq=False)
class Inputs:
    """What the scores of one embedder are computed from.

    Attributes:
        generated, reference: features of both sets.
        training: features of the set that the model was trained on; None leaves out its scores.
        texts: the embedding of every generated clip's caption; None leaves out the CLAP score.
        paired: whether clip k of both sets belong together.
    """

    generated: FeatureSet
    reference: FeatureSet
    training: FeatureSet | None = None
    texts: Rows | None = None
    paired: bool = False

    @property
    def logits(self) -> tuple[Rows, Rows] | None:
        """The logits of both sets; None where the embedder has no classes."""
        if self.generated.logits is None or self.reference.logits is None:
            return None
        return self.generated.logits, self.reference.logits


def embedder_section(
    extractor: FeatureExtractor,
    inputs: Inputs,
    protocol: str,
    bootstrap: Bootstrap,
    warnings: list[str],
) -> Section:
    """Return every score of one embedder; one that cannot be computed becomes a warning."""
    scores = _Scores(extractor, inputs, bootstrap, warnings)
    if protocol == "audioldm_eval":
        scores.add_as_audioldm_eval()
    else:
        scores.add_distances()
        scores.add_classes()
        scores.add_cosines()
        scores.add_diversity()
    embedder = extractor.embedder
    rules = extractor.preprocessing.rules
    return Section(
        embedder.name, embedder.weights_hash, embedder.classes, rules, tuple(scores.found)
    )


class _Scores:
    """The scores of one embedder as they are computed."""

    def __init__(
        self,
        extractor: FeatureExtractor,
        inputs: Inputs,
        bootstrap: Bootstrap,
        warnings: list[str],
    ) -> None:
        self.inputs, self.warnings, self.clip_draws = inputs, warnings, bootstrap
        self.embeds_texts = hasattr(extractor.embedder, "embed_texts")
        self.distance = "FAD" if extractor.embedder.name == "vggish" else "FD"
        self.row_draws = bootstrap  # sets of rows are drawn by clips, whole
        if extractor.embedder.pooled:
            owners = (inputs.generated.owners, inputs.reference.owners)
            self.row_draws = replace(bootstrap, owners=owners)
        self.found: list[Score] = []

    def _add(self, metric: Callable[..., Score], *args: Any, **settings: Any) -> None:
        try:
            self.found.append(metric(*args, **settings))
        except InputError as error:
            self.warnings.append(f"left out: {error}")

    def add_distances(self) -> None:
        """Add the distances between both sets."""
        rows = self.inputs.generated.rows, self.inputs.reference.rows
        windows, name = self.inputs.generated.windows, self.distance
        self._add(frechet_score, *rows, name=name, bootstrap=self.row_draws)
        self._add(frechet_infinity, *rows, name=f"{name}∞", bootstrap=self.row_draws)
        per_clip = f"{name} per clip"
        self._add(frechet_per_clip, windows, rows[1], name=per_clip, bootstrap=self.clip_draws)
        self._add(kad_score, *rows, bootstrap=self.row_draws)
        self._add(kid_score, *rows, bootstrap=self.row_draws)

    def add_classes(self) -> None:
        """Add the scores of classes; KL only of pairs."""
        if logits := self.inputs.logits:
            self._add(inception_score, logits[0], bootstrap=self.clip_draws)
            if self.inputs.paired:
                self._add(kl_softmax, *logits, bootstrap=self.clip_draws)

    def add_cosines(self) -> None:
        """Add the similarity to captions, and of pairs, of an embedder that embeds texts."""
        generated = self.inputs.generated.per_clip
        if self.inputs.texts is not None:
            self._add(clap_score, generated, self.inputs.texts, bootstrap=self.clip_draws)
        if self.inputs.paired and self.embeds_texts:
            reference = self.inputs.reference.per_clip
            self._add(clap_similarity, generated, reference, bootstrap=self.clip_draws)

    def add_diversity(self) -> None:
        """Add the distances among clips, and to the training set."""
        generated, reference = self.inputs.generated.per_clip, self.inputs.reference.per_clip
        name = "diversity of the reference"
        self._add(diversity_score, generated, bootstrap=self.clip_draws)
        self._add(diversity_score, reference, name=name, bootstrap=self.clip_draws)
        if self.inputs.training is not None:
            training = self.inputs.training.per_clip
            self._add(nearest_training_score, generated, training, bootstrap=self.clip_draws)
            self._add(memorisation_rate, generated, training)

    def add_as_audioldm_eval(self) -> None:
        """Add the scores of that tool, computed as it does."""
        rows = self.inputs.generated.rows, self.inputs.reference.rows
        self._add(frechet_score, *rows, name=self.distance, bootstrap=self.row_draws)
        if logits := self.inputs.logits:
            draws = self.clip_draws
            self._add(inception_score, logits[0], splits=_TOOL_SPLITS, bootstrap=draws)
            if self.inputs.paired:
                self._add(kl_softmax, *logits, eps=_TOOL_EPS, bootstrap=draws)
                self._add(kl_sigmoid, *logits, eps=_TOOL_EPS, bootstrap=draws)


def pair_section(
    waveforms: Sequence[tuple[Samples, Samples]],
    preprocessing: dict[str, str | int],
    bootstrap: Bootstrap,
) -> Section:
    """Score pairs (generated, reference) that are meant to be the same sound."""
    mel = MelConfig()
    mels = [(_mel(one, mel), _mel(other, mel)) for one, other in waveforms]
    scores = (
        lsd_score(waveforms, bootstrap=bootstrap),
        stft_score(waveforms, bootstrap=bootstrap),
        mel_score(waveforms, mel, bootstrap=bootstrap),
        psnr_score(mels, bootstrap=bootstrap),
        ssim_score(mels, bootstrap=bootstrap),
    )
    return Section("", "", "", preprocessing, scores)


def _mel(waveform: np.ndarray, mel: MelConfig) -> torch.Tensor:
    return log_mel(torch.from_numpy(waveform)[None], mel)[0, 0]
