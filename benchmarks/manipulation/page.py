"""The suite as a page: the tables, and every case to hear and to see.

Sounds and pictures lie beside the page, in folders of their own, and are read when they are asked
for: inside the page they would be 130 MB.
"""

import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from suite import OPERATIONS, SEEDS, Case
from tables import METHODS, NOTES, RATES, SUCCESS, TITLES, cell

from latentfoley.encoding import write_atomically
from latentfoley.webpage import document

Rows = Sequence[Mapping[str, float]]

_STYLE = """body{max-width:84em}table{width:auto}audio{width:11.5em;height:2em}img{width:26em}
th{vertical-align:bottom}td{font-variant-numeric:tabular-nums}
.case{display:grid;grid-template-columns:1fr auto;gap:0 2em;border-top:2px solid #ccc;
padding:1em 0;align-items:start}.case h3{grid-column:1/3;margin:0;font-weight:normal}
.case table{width:100%}.players{white-space:nowrap}.bad{color:#a00}nav a{margin-right:1.5em}"""
_GIVEN = {"source": "the recording", "given": "what was edited"}


def write_page(path: Path, results: Mapping[str, Any], cases: Sequence[Case]) -> None:
    """Write the page whole or not at all."""
    shown = [operation for operation in OPERATIONS if results["summary"].get(operation)]
    links = "".join(f'<a href="#{operation}">{TITLES[operation]}</a>' for operation in shown)
    sections = [
        _section(operation, results, [case for case in cases if case.operation == operation])
        for operation in shown
    ]
    head = (
        f"<h1>Editing, measured</h1><p>{len(cases)} edits of recordings that were kept out of "
        f"training, with seeds {', '.join(map(str, SEEDS))}: a player to a seed. Model "
        f"<code>{results['model_hash']}</code>. Means with 95 % bootstrap intervals over prompts. "
        f'A case that fails with a seed is <span class="bad">red</span>.</p><nav>{links}</nav>'
    )
    page = document("Editing, measured", head + "".join(sections), style=_STYLE)
    write_atomically(path, page.encode())


def _section(operation: str, results: Mapping[str, Any], cases: Sequence[Case]) -> str:
    total = results["summary"][operation]["all"]
    names = list(total["edit"])
    head = "".join(f"<th>{escape(name)}" for name in names)
    rows = "".join(
        f"<tr><td>{_title(method)}"
        + "".join(f"<td>{cell(name, figures[name])}" for name in names if name in figures)
        for method, figures in total.items()
    )
    notes = "".join(f"<br>{escape(f'{name}: {NOTES[name]}.')}" for name in names if name in NOTES)
    shown = "".join(_case(case, results["cases"][case.name]["methods"]) for case in cases)
    return (
        f'<h2 id="{operation}">{TITLES[operation]}</h2>'
        f"<p>Success: {escape(SUCCESS[operation])}.<small>{notes}</small></p>"
        f"<table><tr><th>{head}</tr>{rows}</table><br>{shown}"
    )


def _case(case: Case, methods: Mapping[str, Rows]) -> str:
    first: dict[str, Rows] = {"source": [{}]}
    if "keep" in methods:  # the same sound, with figures
        first = {"keep": methods["keep"]}
    if case.operation in ("upsample", "extend"):
        first["given"] = [{}]
    rows = "".join(_method(case, method, rows) for method, rows in (first | {**methods}).items())
    what = case.prompt or (f"with {Path(case.other).name}" if case.other else "")
    group = "" if case.group == "all" else case.group
    failed = "" if all(row["success"] for row in methods["edit"]) else ' class="bad"'
    return (
        f'<div class="case" id="{case.name}"><h3><b{failed}>{case.name}</b> '
        f"{escape(Path(case.source).name)} <i>{escape(what)}</i> "
        f"<small>{escape(group)}</small></h3><table>{rows}</table>"
        f'<img loading="lazy" alt="before, mask, after" src="pictures/{case.name}.png"></div>'
    )


def _method(case: Case, method: str, rows: Rows) -> str:
    loops = " loop" if case.operation == "loop" else ""
    players = " ".join(
        f'<audio controls preload="none"{loops} src="sounds/'
        f'{case.name}-{method.replace(" ", "-")}-{number}.flac"></audio>'
        for number in range(len(rows))
    )
    said = "; ".join(
        f"{escape(name)} {cell(name, {'mean': np.mean([row[name] for row in rows])})}"
        for name in sorted(rows[0], key=lambda name: name not in RATES)
    )
    return f'<tr><td>{_title(method)}<br><small>{said}</small><td class="players">{players}</tr>'


def _title(method: str) -> str:
    """Return what a method is called, in HTML."""
    name = escape(METHODS.get(method) or _GIVEN[method])
    return re.sub("`([^`]*)`", r"<code>\1</code>", name)
