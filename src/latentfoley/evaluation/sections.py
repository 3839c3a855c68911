"""The scores that apply to one embedder, to levels, and to pairs of the same sound."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from latentfoley.config import MelConfig
from latentfoley.errors import InputError
from latentfoley.evaluation.embedders import Embedder, TextEmbedder, find_embedder
from latentfoley.evaluation.features.cache import Cache
from latentfoley.evaluation.features.extract import Heard, hear
from latentfoley.evaluation.features.preprocess import Reading
from latentfoley.evaluation.features.texts import embed_texts
from latentfoley.evaluation.metrics.clap_score import clap_score, clap_similarity
from latentfoley.evaluation.metrics.divergence import kl_sigmoid, kl_softmax
from latentfoley.evaluation.metrics.diversity import (
    diversity_score,
    memorisation_rate,
    nearest_training_score,
)
from latentfoley.evaluation.metrics.frechet import frechet_infinity, frechet_per_clip, frechet_score
from latentfoley.evaluation.metrics.inception import inception_score
from latentfoley.evaluation.metrics.kernel import kad_score, kid_score
from latentfoley.evaluation.metrics.loudness import (
    Levels,
    clipping_rate,
    loudness_score,
    silence_rate,
)
from latentfoley.evaluation.metrics.mel_pairs import psnr_score, ssim_score
from latentfoley.evaluation.metrics.score import Bootstrap, Score
from latentfoley.evaluation.metrics.waveform_pairs import lsd_score, mel_score, stft_score
from latentfoley.evaluation.sets.clips import Clip, ClipSet, as_set
from latentfoley.mel import log_mel

_PAIR_RATE = 16_000
_TOOL_MIN_SAMPLES = 32_000
_TOOL_SPLITS, _TOOL_EPS = 10, 1e-6


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What to compute.

    Attributes:
        embedders: names, or NAME=PATH.
        protocol: "audioldm_eval" reads files and computes scores as that tool does.
        reconstruction: clips of a pair are meant to be the same sound: adds LSD, STFT and mel
            distances, PSNR and SSIM.
        training: the set the model was trained on, to look for copies.
        limit: the first so many clips of each set.
        bootstrap: how intervals are drawn.
        cache: the folder of the cache; None for none.
    """

    embedders: tuple[str, ...] = ("clap",)
    protocol: str = "latentfoley"
    reconstruction: bool = False
    training: Path | ClipSet | None = None
    limit: int | None = None
    bootstrap: Bootstrap = field(default_factory=Bootstrap)
    cache: Path | None = None


@dataclass(frozen=True)
class Section:
    """The scores of one embedder, and what they depend on; `embedder` is "" for levels."""

    embedder: str
    weights_hash: str
    classes: str
    reading: dict[str, str | int]
    scores: tuple[Score, ...]


def level_section(levels: Sequence[Levels], bootstrap: Bootstrap) -> Section:
    """Score what needs no embedder: silence, clipping, loudness."""
    scores = (
        silence_rate(levels),
        clipping_rate(levels),
        loudness_score(levels, bootstrap=bootstrap),
    )
    return Section("", "", "", {"sample_rate": "each file's own", "channels": "mean"}, scores)


class _Collected:
    """Scores as they come; one that cannot be computed becomes a warning, not a number."""

    def __init__(self, warnings: list[str]) -> None:
        self.scores: list[Score] = []
        self.warnings = warnings

    def add(self, metric: Callable[..., Score], *args: Any, **settings: Any) -> None:
        """Compute one score, or say why it is left out."""
        try:
            self.scores.append(metric(*args, **settings))
        except InputError as error:
            self.warnings.append(f"left out: {error}")


class Ears:
    """One embedder with the settings it is used with."""

    def __init__(self, spec: str, settings: Settings, cache: Cache) -> None:
        self.embedder: Embedder = find_embedder(spec)
        self.settings, self.cache = settings, cache
        self.reading = _reading(self.embedder.reading, settings.protocol)

    def section(
        self,
        made: Heard,
        real: Heard,
        captions: Sequence[str],
        *,
        paired: bool,
        warnings: list[str],
    ) -> Section:
        """Return every score of two sets; those of pairs only where names agree."""
        out = _Collected(warnings)
        if self.settings.protocol == "audioldm_eval":
            self._as_the_tool(out, made, real, paired)
        else:
            self._distances(out, made, real)
            self._classes(out, made, real, paired)
            self._cosines(out, made, real, paired, captions)
            self._copies(out, made, real)
        reader = self.embedder
        return Section(
            reader.name, reader.weights_hash, reader.classes, self.reading.rules, tuple(out.scores)
        )

    @property
    def distance(self) -> str:
        """How the Fréchet distance is called on these features."""
        return "FAD" if self.embedder.name == "vggish" else "FD"

    def _distances(self, out: _Collected, made: Heard, real: Heard) -> None:
        boot = self._bootstrap(made, real)
        self._frechet(out, made, real)
        out.add(frechet_infinity, made.rows, real.rows, name=f"{self.distance}∞", bootstrap=boot)
        out.add(
            frechet_per_clip,
            made.windows,
            real.rows,
            name=f"{self.distance} per clip",
            bootstrap=self.settings.bootstrap,
        )
        out.add(kad_score, made.rows, real.rows, bootstrap=boot)
        out.add(kid_score, made.rows, real.rows, bootstrap=boot)

    def _frechet(self, out: _Collected, made: Heard, real: Heard) -> None:
        boot = self._bootstrap(made, real)
        out.add(frechet_score, made.rows, real.rows, name=self.distance, bootstrap=boot)

    def _bootstrap(self, made: Heard, real: Heard) -> Bootstrap:
        """Return how to draw sets of rows: by clips, whole."""
        if not self.embedder.pooled:
            return self.settings.bootstrap
        return replace(self.settings.bootstrap, owners=(made.owners, real.owners))

    def _classes(self, out: _Collected, made: Heard, real: Heard, paired: bool) -> None:
        boot = self.settings.bootstrap
        if made.logits is None or real.logits is None:
            return
        out.add(inception_score, made.logits, bootstrap=boot)
        if paired:
            out.add(kl_softmax, made.logits, real.logits, bootstrap=boot)

    def _cosines(
        self, out: _Collected, made: Heard, real: Heard, paired: bool, captions: Sequence[str]
    ) -> None:
        boot = self.settings.bootstrap
        if not hasattr(self.embedder, "embed_texts"):
            return
        if all(captions):
            texts = embed_texts(captions, cast(TextEmbedder, self.embedder), self.cache)
            out.add(clap_score, made.per_clip, texts, bootstrap=boot)
        else:
            n_missing = sum(not caption for caption in captions)
            out.warnings.append(f"CLAP score is left out: {n_missing} clips have no caption")
        if paired:
            out.add(clap_similarity, made.per_clip, real.per_clip, bootstrap=boot)

    def _copies(self, out: _Collected, made: Heard, real: Heard) -> None:
        boot, training = self.settings.bootstrap, self.settings.training
        out.add(diversity_score, made.per_clip, bootstrap=boot)
        out.add(diversity_score, real.per_clip, name="diversity of the reference", bootstrap=boot)
        if training is None:
            return
        known = as_set(training)
        heard = hear(known.source, known.clips, self.embedder, self.reading, self.cache)
        seen = heard.per_clip
        out.add(nearest_training_score, made.per_clip, seen, bootstrap=boot)
        out.add(memorisation_rate, made.per_clip, seen)

    def _as_the_tool(self, out: _Collected, made: Heard, real: Heard, paired: bool) -> None:
        boot = self.settings.bootstrap
        self._frechet(out, made, real)
        if made.logits is None or real.logits is None:
            return
        out.add(inception_score, made.logits, splits=_TOOL_SPLITS, bootstrap=boot)
        if paired:
            out.add(kl_softmax, made.logits, real.logits, eps=_TOOL_EPS, bootstrap=boot)
            out.add(kl_sigmoid, made.logits, real.logits, eps=_TOOL_EPS, bootstrap=boot)


def _reading(own: Reading, protocol: str) -> Reading:
    if protocol == "latentfoley":
        return own
    return Reading(
        sample_rate=own.sample_rate,
        resampler="sinc-hann-6",
        channels="first",
        level="zero-mean",
        min_samples=_TOOL_MIN_SAMPLES,
    )


def pair_section(
    made: Sequence[Clip], real: Sequence[Clip], paired: bool, bootstrap: Bootstrap
) -> Section:
    """Score pairs that are meant to be the same sound.

    Raises:
        InputError: the names of the sets differ.
    """
    if not paired:
        raise InputError("reconstruction needs a reference of the same name for every clip")
    reading = Reading(sample_rate=_PAIR_RATE)
    waveforms = [
        (reading.read(one.path), reading.read(other.path))
        for one, other in zip(made, real, strict=True)
    ]
    mel = MelConfig()
    mels = [(_mel(one, mel), _mel(other, mel)) for one, other in waveforms]
    scores = (
        lsd_score(waveforms, bootstrap=bootstrap),
        stft_score(waveforms, bootstrap=bootstrap),
        mel_score(waveforms, mel, bootstrap=bootstrap),
        psnr_score(mels, bootstrap=bootstrap),
        ssim_score(mels, bootstrap=bootstrap),
    )
    return Section("", "", "", reading.rules, scores)


def _mel(waveform: np.ndarray, mel: MelConfig) -> torch.Tensor:
    return log_mel(torch.from_numpy(waveform)[None], mel)[0, 0]
