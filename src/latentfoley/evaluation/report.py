"""An evaluation as a table for the terminal and as one line per score."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from latentfoley.encoding import write_atomically
from latentfoley.errors import InputError
from latentfoley.evaluation.evaluate import Evaluation
from latentfoley.evaluation.metrics.score import Score
from latentfoley.evaluation.sections import Section

if TYPE_CHECKING:
    from rich.table import Table

_ARROWS = {"lower": "↓", "higher": "↑", "neither": ""}


def table(evaluation: Evaluation) -> "Table":
    """Return the scores with n and interval, grouped by embedder."""
    from rich.markup import escape
    from rich.table import Table

    out = Table("score", "value", "95 %", "n", "unit", title=escape(headline(evaluation)))
    out.caption = escape("\n".join([*readings(evaluation), *origins(evaluation)]))
    for section in evaluation.sections:
        out.add_section()
        out.add_row(f"[bold]{escape(section_name(section))}[/]")
        for score in section.scores:
            out.add_row(
                escape(f"  {score.name} {_ARROWS[score.better]}"),
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


def origins(evaluation: Evaluation) -> list[str]:
    """Return how each side came to be, where it is more than a folder."""
    return [f"{side}: {_listed(about)}" for side, about in evaluation.about.items() if about]


def readings(evaluation: Evaluation) -> list[str]:
    """Return who listened in each section, and how files were read for it."""
    return [f"{section_name(part)}: {section_details(part)}" for part in evaluation.sections]


def section_name(section: Section) -> str:
    """Return who listened."""
    return section.embedder or "without an embedder"


def section_details(section: Section) -> str:
    """Return by which weights, with which classes, and how files were read."""
    facts = {"weights": section.weights_hash[:12], "classes": section.classes, **section.reading}
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


def caveats(evaluation: Evaluation) -> dict[str, str]:
    """Return the caveat of every score, by its name."""
    scores: list[Score] = [score for section in evaluation.sections for score in section.scores]
    return {score.name: score.caveat for score in scores}


def to_json(evaluation: Evaluation) -> str:
    """Return everything as JSON, with the version that computed it."""
    from latentfoley.version import __version__

    record = {"latentfoley": __version__, **evaluation.to_record()}
    return json.dumps(record, indent=2, allow_nan=False) + "\n"


def write(path: Path, text: str) -> None:
    """Write a report whole or not at all.

    Raises:
        InputError: the place cannot be written to.
    """
    try:
        write_atomically(path, text.encode("utf-8", errors="replace"))
    except OSError as error:
        raise InputError(f"'{path}' cannot be written: {error.strerror or error}") from None
