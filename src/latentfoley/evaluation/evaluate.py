"""Two sets of clips → every score that can be computed, and warnings about those that cannot.

The walk: sets (`sets/`), embedders (`embedders/`), features (`features/`), scores (`sections.py`,
which calls `metrics/`).
"""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from latentfoley.errors import InputError, nearest
from latentfoley.evaluation.embedders import TextEmbedder, find_embedder, require_embedder
from latentfoley.evaluation.features.cache import Cache
from latentfoley.evaluation.features.extract import (
    embed_texts,
    extract_all,
    extract_features,
)
from latentfoley.evaluation.features.extractors import FeatureExtractor, FeatureSet
from latentfoley.evaluation.features.preprocess import (
    AudioPreprocessing,
    Samples,
    as_audioldm_eval,
)
from latentfoley.evaluation.metrics.score import FEWEST_CLIPS, Bootstrap, Rows
from latentfoley.evaluation.sections import (
    Inputs,
    Section,
    embedder_section,
    level_section,
    pair_section,
)
from latentfoley.evaluation.sets.choose import as_set, limit_as
from latentfoley.evaluation.sets.clips import Clip, ClipSet, pairs, require_limit
from latentfoley.levels import Levels
from latentfoley.on_ray import connected, require_ray
from latentfoley.places import Place, Where

PROTOCOLS = ("latentfoley", "audioldm_eval")
_TOOL_EMBEDDERS = ("cnn14-16k", "cnn14-32k", "vggish")
_PAIRS = AudioPreprocessing(sample_rate=16_000)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What to compute.

    Attributes:
        embedders: names, or NAME=PATH.
        protocol: "audioldm_eval" reads files and computes scores as that tool does.
        reconstruction: clips of a pair are meant to be the same sound: adds LSD, STFT and mel
            distances, PSNR and SSIM.
        training: the set the model was trained on, to look for copies.
        limit: so many clips of each set, drawn evenly over their kinds.
        bootstrap: how intervals are drawn.
        cache: the folder of the cache; None for none.
        ray: features are computed on Ray: on the cluster of the environment's RAY_ADDRESS, else
            here. Sets, weights and cache lie where all machines find them.
    """

    embedders: tuple[str, ...] = ("clap",)
    protocol: str = "latentfoley"
    reconstruction: bool = False
    training: Where | ClipSet | None = None
    limit: int | None = None
    bootstrap: Bootstrap = field(default_factory=Bootstrap)
    cache: Path | None = None
    ray: bool = False


@dataclass(frozen=True)
class Evaluation:
    """Everything that a table, a JSON file or a page shows."""

    generated: str
    reference: str
    protocol: str
    n_generated: int
    n_reference: int
    about: dict[str, dict[str, str]]
    sections: tuple[Section, ...]
    warnings: tuple[str, ...]
    clips: tuple[Clip, ...] = field(repr=False)

    def to_record(self) -> dict[str, Any]:
        """Return plain JSON values; scores per clip are keyed by the clip."""
        record = asdict(replace(self, sections=(), clips=()))
        del record["clips"]
        record["sections"] = [self._section(section) for section in self.sections]
        return record

    def _section(self, section: Section) -> dict[str, Any]:
        plain = asdict(section)
        for score in plain["scores"]:
            values = score.pop("per_clip")
            if values is not None and len(values) == len(self.clips):
                keys = [clip.key for clip in self.clips]
                score["per_clip"] = dict(zip(keys, values.tolist(), strict=True))
        return plain


def evaluate(
    generated: Where | ClipSet, reference: Where | ClipSet, settings: Settings
) -> Evaluation:
    """Compare a set of generated clips with a set of reference clips.

    Args:
        generated: folder, manifest or place, or a set that was listed elsewhere.
        reference: the same; clips of equal names are pairs.
        settings: what to compute.

    Raises:
        InputError: a set with fewer than two clips, a set of silence, an unknown embedder or
            protocol.
        AudioFileError: files that cannot be read.
        ModelError: weights that are not those of the embedder.
        MissingExtraError: Ray is asked for and not installed.
    """
    require_settings(settings)
    with connected() if settings.ray else nullcontext():
        return _evaluate(generated, reference, settings)


def _evaluate(
    generated: Where | ClipSet, reference: Where | ClipSet, settings: Settings
) -> Evaluation:
    one = as_set(generated, settings.limit)
    other = limit_as(as_set(reference), one, settings.limit)
    paired, warning = pairs(one.clips, other.clips)
    warnings = [*one.warnings, *other.warnings, *([warning] if warning else [])]
    if min(len(one.clips), len(other.clips)) < FEWEST_CLIPS:
        warnings.append(
            f"{len(one.clips)} generated and {len(other.clips)} reference clips are too few: no "
            "score of them says anything about others, and no distance has an interval"
        )
    cache, bootstrap = Cache(settings.cache), settings.bootstrap
    extractors = [_extractor(spec, settings.protocol) for spec in settings.embedders]
    levels, of_generated = extract_all(one, extractors, cache, ray=settings.ray)
    _require_sound(levels, one.source, "generated", warnings)
    levels_of_reference, of_reference = extract_all(other, extractors, cache, ray=settings.ray)
    _require_sound(levels_of_reference, other.source, "reference", warnings)
    training = None if settings.training is None else as_set(settings.training)
    sections = [level_section(levels, bootstrap)]
    for extractor, *features in zip(extractors, of_generated, of_reference, strict=True):
        inputs = Inputs(
            generated=features[0],
            reference=features[1],
            training=_of_training(training, extractor, cache, settings.ray),
            texts=_of_captions(one, extractor, cache, warnings),
            paired=paired,
        )
        sections.append(embedder_section(extractor, inputs, settings.protocol, bootstrap, warnings))
    if settings.reconstruction:
        sections.append(pair_section(_read_pairs(one, other, paired), _PAIRS.rules, bootstrap))
    return Evaluation(
        str(one.source), str(other.source), settings.protocol, len(one.clips), len(other.clips),
        {"generated": dict(one.about), "reference": dict(other.about)},
        tuple(sections), tuple(warnings), one.clips,
    )  # fmt: skip


def require_settings(settings: Settings) -> None:
    """Check what can be checked before anything is read or generated.

    Raises:
        InputError: an unknown protocol or embedder, weights that are not there, or a limit that
            leaves no set.
        MissingExtraError: Ray is asked for and not installed.
    """
    if settings.ray:
        require_ray()
    require_limit(settings.limit)
    if settings.protocol not in PROTOCOLS:
        raise InputError(
            f"there is no protocol '{settings.protocol}'; {nearest(settings.protocol, PROTOCOLS)}"
        )
    for spec in settings.embedders:
        name = spec.partition("=")[0]
        if settings.protocol == "audioldm_eval" and name not in _TOOL_EMBEDDERS:
            raise InputError(
                f"audioldm_eval has no embedder '{name}'; {nearest(name, _TOOL_EMBEDDERS)}"
            )
        require_embedder(spec)


def _extractor(spec: str, protocol: str) -> FeatureExtractor:
    embedder = find_embedder(spec)
    own = embedder.preprocessing
    rules = own if protocol == "latentfoley" else as_audioldm_eval(own)
    return FeatureExtractor(spec, embedder, rules)


def _require_sound(
    levels: Sequence[Levels], source: Path | Place, what: str, warnings: list[str]
) -> None:
    """Refuse a set of silence, warn of one with silence in it."""
    n_silent = sum(level.silent for level in levels)
    if n_silent == len(levels):
        raise InputError(
            f"all {len(levels)} {what} clips in '{source}' are silent (no sample above -80 dBFS)"
        )
    if n_silent:
        warnings.append(
            f"{n_silent} of {len(levels)} {what} clips are silent (no sample above -80 dBFS): "
            "distances between sets can be fooled by silence"
        )


def _of_training(
    training: ClipSet | None, extractor: FeatureExtractor, cache: Cache, ray: bool
) -> FeatureSet | None:
    return None if training is None else extract_features(training, extractor, cache, ray=ray)


def _of_captions(
    clips: ClipSet, extractor: FeatureExtractor, cache: Cache, warnings: list[str]
) -> Rows | None:
    """Return one row per caption; None from an embedder without texts or for missing captions."""
    if not hasattr(extractor.embedder, "embed_texts"):
        return None
    n_missing = sum(not clip.caption for clip in clips.clips)
    if n_missing:
        warnings.append(f"CLAP score is left out: {n_missing} clips have no caption")
        return None
    captions = [clip.caption for clip in clips.clips]
    return embed_texts(captions, cast(TextEmbedder, extractor.embedder), cache)


def _read_pairs(one: ClipSet, other: ClipSet, paired: bool) -> list[tuple[Samples, Samples]]:
    """Return the samples of every pair.

    Raises:
        InputError: the names of the sets differ.
    """
    if not paired:
        raise InputError("reconstruction needs a reference of the same name for every clip")
    both = zip(one.clips, other.clips, strict=True)
    return [(_samples(one), _samples(other)) for one, other in both]


def _samples(clip: Clip) -> Samples:
    with clip.local() as path:
        return _PAIRS.read(path)
