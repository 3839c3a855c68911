"""An ablation as one HTML file that needs nothing else: tables, picture, clips to hear."""

import base64
from html import escape
from pathlib import Path

from latentfoley.evaluation.ablation.report import Row, heading, summary, test_rows, value_rows
from latentfoley.evaluation.ablation.results import Ablation

_STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:76em;margin:2em auto;padding:0 1em}
table{border-collapse:collapse;margin:1em 0}td,th{padding:.25em .7em;text-align:left}
tr{border-bottom:1px solid #ccc}td{font-variant-numeric:tabular-nums}img{max-width:100%}
.warn{background:#fff3cd;color:#000;padding:.6em 1em}audio{width:13em}"""


def page(ablation: Ablation, picture: bytes, folder: Path) -> str:
    """Return the report as HTML.

    Args:
        ablation: what to show.
        picture: the PNG of its plots.
        folder: where its clips are; those of a few prompts are put into the page.
    """
    title = escape(" · ".join(cell.label for cell in ablation.cells))
    warnings = "".join(f'<p class="warn">{escape(text)}</p>' for text in ablation.warnings)
    results = "".join(
        f"<h2>{escape(heading(result))}</h2>{_table(value_rows(result))}"
        f"<details><summary>tests</summary>{_table(test_rows(result))}</details>"
        for result in ablation.results
    )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        f"<title>Ablation: {title}</title><style>{_STYLE}</style><h1>Ablation</h1>"
        f"<p>{escape(summary(ablation))}</p>{warnings}"
        f'<img alt="every metric over the cells" src="data:image/png;base64,{_base64(picture)}">'
        f"{results}<h2>To hear</h2>{_players(ablation, folder)}</html>\n"
    )


def _table(rows: list[Row]) -> str:
    head, *body = rows
    lines = "".join(f"<tr>{''.join(f'<td>{escape(c)}' for c in row)}</tr>" for row in body)
    return f"<table><tr>{''.join(f'<th>{escape(c)}' for c in head)}</tr>{lines}</table>"


def _players(ablation: Ablation, folder: Path) -> str:
    head = "".join(f"<th>{escape(text)}" for text, _ in ablation.samples)
    rows = "".join(
        f"<tr><td>{escape(cell.label)}"
        + "".join(_player(folder / files[k]) for _, files in ablation.samples)
        for k, cell in enumerate(ablation.cells)
    )
    return f"<table><tr><th>cell{head}</tr>{rows}</table>"


def _player(path: Path) -> str:
    sound = _base64(path.read_bytes())
    return f'<td><audio controls preload="none" src="data:audio/flac;base64,{sound}"></audio>'


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
