"""Two sets of clips → every score that can be computed, and warnings about those that cannot.

This file decides which metrics apply; what they are stands in their own files.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from latentfoley.errors import InputError, nearest
from latentfoley.evaluation.embedders import require_embedder
from latentfoley.evaluation.features.cache import Cache
from latentfoley.evaluation.features.extract import hear_all
from latentfoley.evaluation.metrics.loudness import Levels
from latentfoley.evaluation.metrics.score import FEWEST_CLIPS
from latentfoley.evaluation.sections import Ears, Section, Settings, level_section, pair_section
from latentfoley.evaluation.sets.clips import Clip, ClipSet, as_set, pairs, require_limit

PROTOCOLS = ("latentfoley", "audioldm_eval")
_TOOL_EMBEDDERS = ("cnn14-16k", "cnn14-32k", "vggish")


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
    generated: Path | ClipSet, reference: Path | ClipSet, settings: Settings
) -> Evaluation:
    """Compare a set of generated clips with a set of real ones.

    Args:
        generated: folder, manifest, or a set that was listed elsewhere.
        reference: the same; clips of equal names are pairs.
        settings: what to compute.

    Raises:
        InputError: a set with fewer than two clips, a set of silence, an unknown embedder or
            protocol.
        AudioFileError: files that cannot be read.
        ModelError: weights that are not those of the embedder.
    """
    require_settings(settings)
    cache = Cache(settings.cache)
    one, other = (as_set(side, settings.limit) for side in (generated, reference))
    made, real = one.clips, other.clips
    paired, warning = pairs(made, real)
    warnings = [*one.warnings, *other.warnings, *([warning] if warning else [])]
    if min(len(made), len(real)) < FEWEST_CLIPS:
        warnings.append(
            f"{len(made)} generated and {len(real)} reference clips are too few: no score of them "
            "says anything about others, and none has an interval"
        )
    ears = [Ears(spec, settings, cache) for spec in settings.embedders]
    through = [(ear.embedder, ear.reading) for ear in ears]
    levels, of_made = hear_all(one.source, made, through, cache)
    _require_sound(levels, one.source, "generated", warnings)
    levels_of_real, of_real = hear_all(other.source, real, through, cache)
    _require_sound(levels_of_real, other.source, "reference", warnings)
    sections = [level_section(levels, settings.bootstrap)]
    captions = [clip.caption for clip in made]
    for ear, heard, wanted in zip(ears, of_made, of_real, strict=True):
        sections.append(ear.section(heard, wanted, captions, paired=paired, warnings=warnings))
    if settings.reconstruction:
        sections.append(pair_section(made, real, paired, settings.bootstrap))
    return Evaluation(
        str(one.source), str(other.source), settings.protocol, len(made), len(real),
        {"generated": dict(one.about), "reference": dict(other.about)},
        tuple(sections), tuple(warnings), tuple(made),
    )  # fmt: skip


def require_settings(settings: Settings) -> None:
    """Check what can be checked before anything is read or made.

    Raises:
        InputError: an unknown protocol or embedder, weights that are not there, or a limit that
            leaves no set.
    """
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


def _require_sound(levels: Sequence[Levels], source: Path, what: str, warnings: list[str]) -> None:
    """Refuse a set of silence, warn of one with silence in it."""
    n_silent = sum(level.silent for level in levels)
    if n_silent == len(levels):
        raise InputError(
            f"all {len(levels)} {what} clips in '{source}' are silent (below -60 dBFS)"
        )
    if n_silent:
        warnings.append(
            f"{n_silent} of {len(levels)} {what} clips are silent (below -60 dBFS): distances "
            "between sets can be fooled by silence"
        )
