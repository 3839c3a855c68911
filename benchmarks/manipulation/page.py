"""The suite as a page: the tables, and every case to hear and to see.

Sounds and pictures lie beside the page, in folders of their own.
"""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from suite import OPERATIONS, Case
from tables import METHODS, SUCCESS, TITLES, cell

from latentfoley.encoding import write_atomically

_STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:72em;margin:2em auto;padding:0 1em}
table{border-collapse:collapse}td,th{padding:.3em .6em;text-align:left;vertical-align:top}
tr{border-bottom:1px solid #ccc}small{color:#666}img{width:24em}audio{width:16em;height:2em}
.case{display:flex;flex-wrap:wrap;gap:1em;border-top:1px solid #ccc;padding:1em 0}
.bad{color:#a00}"""
_NAMES = METHODS | {"source": "the recording", "given": "what was edited"}


def write_page(path: Path, results: Mapping[str, Any], cases: Sequence[Case]) -> None:
    """Write the page whole or not at all."""
    sections = [
        _section(operation, results, [case for case in cases if case.operation == operation])
        for operation in OPERATIONS
        if results["summary"].get(operation)
    ]
    write_atomically(
        path,
        (
            '<!doctype html><html lang="en"><meta charset="utf-8"><title>Editing, measured</title>'
            f"<style>{_STYLE}</style><h1>Editing, measured</h1>{''.join(sections)}</html>\n"
        ).encode(),
    )


def _section(operation: str, results: Mapping[str, Any], cases: Sequence[Case]) -> str:
    total = results["summary"][operation]["all"]
    names = list(total["edit"])
    head = "".join(f"<th>{escape(name)}" for name in names)
    rows = "".join(
        f"<tr><td>{escape(METHODS[method])}"
        + "".join(f"<td>{cell(name, figures[name])}" for name in names if name in figures)
        for method, figures in total.items()
    )
    shown = "".join(_case(case, results["cases"][case.name]["methods"]) for case in cases)
    return (
        f"<h2>{TITLES[operation]}</h2><p>Success: {escape(SUCCESS[operation])}.</p>"
        f"<table><tr><th>{head}</tr>{rows}</table>{shown}"
    )


def _case(case: Case, methods: Mapping[str, list[Mapping[str, float]]]) -> str:
    loops = " loop" if case.operation == "loop" else ""
    given = {"source": [{}], "given": [{}]} if case.operation in ("upsample", "extend") else {}
    rows = []
    for method, figures in ({"source": [{}]} | given | dict(methods)).items():
        players = "".join(
            f'<audio controls preload="none"{loops} src="sounds/'
            f'{case.name}-{method.replace(" ", "-")}-{number}.flac"></audio>'
            for number in range(len(figures))
        )
        title = METHODS.get(
            method, {"source": "the recording", "given": "what was edited"}.get(method, "")
        )
        rows.append(f"<tr><td>{escape(title)}<br><small>{_said(figures)}</small><td>{players}</tr>")
    what = case.prompt or (f"with {Path(case.other).name}" if case.other else "")
    failed = "" if all(row["success"] for row in methods["edit"]) else ' class="bad"'
    return (
        f'<div class="case" id="{case.name}"><div><b{failed}>{case.name}</b> {escape(case.group)}'
        f"<br>{escape(Path(case.source).name)} <i>{escape(what)}</i>"
        f"<table>{''.join(rows)}</table></div>"
        f'<img loading="lazy" alt="before, mask, after" src="pictures/{case.name}.png"></div>'
    )


def _said(rows: Sequence[Mapping[str, float]]) -> str:
    """Return the means of all figures of a method."""
    return ", ".join(
        f"{escape(name)} {np.mean([row[name] for row in rows]):.2f}" for name in rows[0]
    )
