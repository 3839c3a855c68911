"""An evaluation as a table for the terminal, as JSON, and as one HTML page."""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from latentfoley.config import MelConfig
from latentfoley.encoding import encode_audio
from latentfoley.evaluation.evaluate import Evaluation
from latentfoley.evaluation.features.preprocess import AudioPreprocessing
from latentfoley.evaluation.metrics.score import Score, Values
from latentfoley.evaluation.sections import Section
from latentfoley.evaluation.sets.clips import Clip
from latentfoley.webpage import render

if TYPE_CHECKING:
    from rich.table import Table

_SHOWN = 4  # best clips, and as many worst
_BARS = 24
_MAX_SHOWN_S = 30.0
_RATE = 16_000
ARROWS = {"lower": "↓", "higher": "↑", "neither": ""}


def table(evaluation: Evaluation) -> "Table":
    """Return the scores with n and interval, grouped by embedder."""
    from rich.markup import escape
    from rich.table import Table

    out = Table("score", "value", "95 %", "n", "unit", title=escape(headline(evaluation)))
    out.caption = escape("\n".join([*embedders_of(evaluation), *sources(evaluation)]))
    for section in evaluation.sections:
        out.add_section()
        out.add_row(f"[bold]{escape(section_name(section))}[/]")
        for score in section.scores:
            out.add_row(
                escape(f"  {score.name} {ARROWS[score.better]}"),
                number(score.value),
                interval(score),
                str(score.n),
                escape(score.unit),
            )
    return out


def headline(evaluation: Evaluation) -> str:
    """Return what was compared with what."""
    return (
        f"{evaluation.generated} ({evaluation.n_generated}) against "
        f"{evaluation.reference} ({evaluation.n_reference}), protocol {evaluation.protocol}"
    )


def sources(evaluation: Evaluation) -> list[str]:
    """Return where each set comes from, for sets that are more than a folder."""
    return [f"{name}: {_listed(about)}" for name, about in evaluation.about.items() if about]


def embedders_of(evaluation: Evaluation) -> list[str]:
    """Return the embedder and the preprocessing of each section."""
    return [f"{section_name(part)}: {section_details(part)}" for part in evaluation.sections]


def section_name(section: Section) -> str:
    """Return the embedder of a section."""
    return section.embedder or "without an embedder"


def section_details(section: Section) -> str:
    """Return the weights, the classes and the preprocessing of a section."""
    facts = {
        "weights": section.weights_hash[:12],
        "classes": section.classes,
        **section.preprocessing,
    }
    return _listed({name: value for name, value in facts.items() if value != ""})


def _listed(facts: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in facts.items())


def interval(score: Score) -> str:
    """Return the interval of a score in words."""
    if score.interval is None:
        return "too few clips"
    return " … ".join(number(end) for end in score.interval)


def number(value: float) -> str:
    """Return four significant digits.

    Example:
        >>> number(12.34567)
        '12.35'
    """
    return f"{value:.4g}"


def to_json(evaluation: Evaluation) -> str:
    """Return everything as JSON, with the version that computed it."""
    from latentfoley.version import __version__

    record = {"latentfoley": __version__, **evaluation.to_record()}
    return json.dumps(record, indent=2, allow_nan=False) + "\n"


def page(evaluation: Evaluation) -> str:
    """Return the report as HTML; the clips that it plays are read again."""
    return render(
        "evaluation.html",
        title=headline(evaluation),
        inputs=sources(evaluation),
        warnings=evaluation.warnings,
        sections=[
            {
                "name": section_name(section),
                "details": section_details(section),
                "rows": [_page_row(score) for score in section.scores],
            }
            for section in evaluation.sections
        ],
        ranked=_ranked(evaluation),
    )


def _page_row(score: Score) -> dict[str, Any]:
    varies = score.per_clip is not None and np.ptp(score.per_clip) > 0
    return {
        "score": score,
        "value": number(score.value),
        "interval": interval(score),
        "bars": histogram(score.per_clip) if varies and score.per_clip is not None else None,
    }


def histogram(values: Values) -> dict[str, Any]:
    """Return the heights of bars, relative to the highest, and the ends of the values in words."""
    counts, edges = np.histogram(values, bins=_BARS)
    heights = (counts / counts.max()).tolist()
    return {"heights": heights, "low": number(edges[0]), "high": number(edges[-1])}


def _ranked(evaluation: Evaluation) -> dict[str, list[dict[str, Any]]]:
    """Return the best and the worst clips, ready to be shown."""
    score = _ranking(evaluation)
    if score is None or score.per_clip is None:
        return {}
    order = np.argsort(score.per_clip if score.better == "lower" else -score.per_clip)
    n_shown = min(_SHOWN, len(order) // 2)
    chosen = {"Best": order[:n_shown], "Worst": order[::-1][:n_shown]}
    return {
        f"{name} by {score.name}": [
            _card(evaluation.clips[k], f"{score.name} {number(score.per_clip[k])}") for k in places
        ]
        for name, places in chosen.items()
    }


def _ranking(evaluation: Evaluation) -> Score | None:
    """Return the score that clips are ranked by: how well they fit their caption, else the set."""
    scores = {score.name: score for part in evaluation.sections for score in part.scores}
    found = (scores.get(name) for name in ("CLAP score", "FD per clip", "FAD per clip"))
    return next((score for score in found if score), None)


def _card(clip: Clip, value: str) -> dict[str, Any]:
    with clip.local() as path:
        waveform = AudioPreprocessing(sample_rate=_RATE).read(path)[: round(_MAX_SHOWN_S * _RATE)]
    wav = encode_audio(waveform, _RATE, suffix=".wav", provenance=None)
    return {"clip": clip, "value": value, "wav": wav, "png": _picture(clip, waveform)}


def _picture(clip: Clip, waveform: np.ndarray) -> bytes:
    from latentfoley.pictures import plot_clips

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.png"
        plot_clips(path, [waveform], [clip.key], MelConfig())
        return path.read_bytes()
