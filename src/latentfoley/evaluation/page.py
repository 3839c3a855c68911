"""An evaluation as one HTML file: scores, distributions, the best and worst clips to hear and see.

Nothing outside the file is needed: sounds, pictures and style are inside. Names and captions come
from files that anyone can have written, and are escaped.
"""

import tempfile
from html import escape
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from latentfoley.config import MelConfig
from latentfoley.encoding import encode_audio
from latentfoley.evaluation.evaluate import Evaluation
from latentfoley.evaluation.features.preprocess import Reading
from latentfoley.evaluation.metrics.score import Score
from latentfoley.evaluation.report import (
    headline,
    interval,
    number,
    origins,
    section_details,
    section_name,
)
from latentfoley.evaluation.sections import Section
from latentfoley.evaluation.sets.clips import Clip
from latentfoley.webpage import document, picture, player

_SHOWN = 4  # best clips, and as many worst
_BARS = 24
_MAX_SHOWN_S = 30.0
_RATE = 16_000
_STYLE = """
.clips{display:grid;grid-template-columns:repeat(auto-fill,minmax(14em,1fr));gap:1em}
svg{width:10em;height:3em}td:first-child{min-width:7em}td:last-child{min-width:15em}"""
_ARROWS = {"lower": "lower is better", "higher": "higher is better", "neither": ""}


def page(evaluation: Evaluation) -> str:
    """Return the report as HTML; reads the shown clips again."""
    warnings = "".join(f'<p class="warn">{escape(text)}</p>' for text in evaluation.warnings)
    title = headline(evaluation)
    about = "".join(f"<p><small>{escape(text)}</small></p>" for text in origins(evaluation))
    sections = "".join(_section(section) for section in evaluation.sections)
    parts = (about, warnings, sections, _clips(evaluation))
    body = f"<h1>Evaluation</h1><p>{escape(title)}</p>{''.join(parts)}"
    return document(title, body, style=_STYLE)


def _section(section: Section) -> str:
    rows = "".join(_row(score) for score in section.scores)
    head = "<tr><th>score<th>value<th>95 %<th>n<th>clips<th>beware</tr>"
    details = f"<p><small>{escape(section_details(section))}</small></p>"
    return f"<h2>{escape(section_name(section))}</h2>{details}<table>{head}{rows}</table>"


def _row(score: Score) -> str:
    varied = score.per_clip if score.per_clip is not None and np.ptp(score.per_clip) else None
    drawn = "" if varied is None else histogram(varied)
    return (
        f"<tr><td>{escape(score.name)}<br><small>{_ARROWS[score.better]}</small>"
        f'<td class="n">{number(score.value)} <small>{escape(score.unit)}</small>'
        f'<td class="n">{interval(score)}<br><small>{score.method}</small>'
        f'<td class="n">{score.n}<td>{drawn}<td><small>{escape(score.caveat)}</small></tr>'
    )


def histogram(values: Float64[np.ndarray, "N"]) -> str:
    """Return how values are spread, as an SVG with its ends written below."""
    counts, edges = np.histogram(values, bins=_BARS)
    heights = 40 * counts / counts.max()
    bars = "".join(
        f'<rect x="{8 * k}" y="{40 - height:.1f}" width="7" height="{height:.1f}"/>'
        for k, height in enumerate(heights)
    )
    return (
        f'<svg viewBox="0 0 {8 * _BARS} 54" fill="#47a">{bars}'
        f'<g font-size="10" fill="#666"><text y="52">{number(edges[0])}</text>'
        f'<text x="{8 * _BARS}" y="52" text-anchor="end">{number(edges[-1])}</text></g></svg>'
    )


def _clips(evaluation: Evaluation) -> str:
    score = _ranking(evaluation)
    if score is None or score.per_clip is None:
        return ""
    order = np.argsort(score.per_clip if score.better == "lower" else -score.per_clip)
    n_shown = min(_SHOWN, len(order) // 2)
    parts = []
    for name, chosen in (("Best", order[:n_shown]), ("Worst", order[::-1][:n_shown])):
        cards = "".join(
            _card(evaluation.clips[k], f"{score.name} {number(score.per_clip[k])}") for k in chosen
        )
        parts.append(f'<h2>{name} by {escape(score.name)}</h2><div class="clips">{cards}</div>')
    return "".join(parts)


def _ranking(evaluation: Evaluation) -> Score | None:
    """Return the score that clips are ranked by: how well they fit their caption, else the set."""
    scores = [score for section in evaluation.sections for score in section.scores]
    for wanted in ("CLAP score", "FD per clip", "FAD per clip"):
        for score in scores:
            if score.name == wanted:
                return score
    return None


def _card(clip: Clip, said: str) -> str:
    waveform = Reading(sample_rate=_RATE).read(clip.path)[: round(_MAX_SHOWN_S * _RATE)]
    sound = encode_audio(waveform, _RATE, suffix=".wav", provenance=None)
    return (
        f"<div><b>{escape(clip.key)}</b><br>{escape(clip.caption)}<br><small>{escape(said)}</small>"
        f"{player(sound)}{picture(_picture(clip, waveform), 'waveform and log-mel')}</div>"
    )


def _picture(clip: Clip, waveform: np.ndarray) -> bytes:
    from latentfoley.pictures import plot_clips

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.png"
        plot_clips(path, [waveform], [clip.key], MelConfig())
        return path.read_bytes()
