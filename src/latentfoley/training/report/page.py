"""The page: one HTML file, everything inside, and nothing in it that a name in a run can run."""

from html import escape
from pathlib import Path
from typing import Any

from latentfoley.training.report.curves import draw_curves
from latentfoley.training.report.judgement import Finding
from latentfoley.training.report.levels import ROWS, made_sounds
from latentfoley.training.report.run import Preview, Run
from latentfoley.webpage import document, picture, player

_STYLE = """
.curves{display:grid;grid-template-columns:repeat(auto-fit,minmax(22em,1fr));gap:.5em}
.curves svg{width:100%;height:auto}
.finding{border-left:.4em solid #999;padding:.3em 1em;margin:.8em 0}
.found{border-color:#c05621}.clear{border-color:#2f855a}.unknown{border-color:#999}
.finding b:after{content:" · " attr(data-status);font-weight:normal}
.finding p{margin:.2em 0}h2{margin-top:2em}.sounds td{width:33%}
@media (prefers-color-scheme:dark){:root{color-scheme:dark}svg{background:#fff}}"""
_STATUS = {"found": "found", "clear": "not found", "unknown": "not measured"}
_KINDS = {
    "diffusion": "denoiser",
    "vae": "VAE",
    "vocoder": "vocoder",
    "clap": "CLAP",
}
_MOST_SOUNDS = 4  # rows of a page; each holds up to three sounds


def page(run: Run, findings: list[Finding]) -> str:
    """Return the report of a run as HTML."""
    title = f"Training of the {_KINDS[run.kind]} in {run.folder}"
    body = "".join(
        (
            f"<h1>{escape(title)}</h1><p>{escape(summary(run))}</p>",
            f"<p><b>{escape(verdict(findings))}</b></p>",
            "".join(f'<p class="warn">{escape(gap)}</p>' for gap in run.gaps),
            "<h2>Diagnosis</h2>",
            "".join(_finding(finding) for finding in findings),
            "<h2>Curves</h2><p><small>Pale: as logged. Line: moving mean.</small></p>",
            f'<div class="curves">{"".join(draw_curves(run))}</div>',
            _previews(run),
            _table("Settings", _flat(run.recipe)),
            _table("Data", _flat(run.facts.get("data") or {})),
            _table("Machine", _flat({k: run.facts.get(k) or {} for k in ("hardware", "versions")})),
            _sessions(run),
        )
    )
    return document(title, body, style=_STYLE)


def summary(run: Run) -> str:
    """Return in a line how far a run is, and how long that took."""
    done = int(run.log[-1]["step"]) + 1
    sessions = run.facts.get("sessions") or []
    done = max([done, *(int(session.get("last_step") or 0) for session in sessions)])
    wanted = run.recipe.get("run", {}).get("steps")
    parts = [f"{done} of {wanted} steps" if wanted else f"{done} steps logged"]
    parts.append(f"{_clock(run.seconds)} of training")
    if run.facts.get("n_parameters"):
        parts.append(f"{run.facts['n_parameters']:,} weights")
    if run.facts.get("n_processes", 1) > 1:
        parts.append(f"{run.facts['n_processes']} processes")
    best = run.facts.get("best")
    if best:
        parts.append(f"best held-out loss {best['loss']:.4g} at step {best['step']}")
    return ", ".join(parts) + "."


def verdict(findings: list[Finding]) -> str:
    """Return in a line what was found."""
    found = [finding.signature for finding in findings if finding.status == "found"]
    n_unknown = sum(finding.status == "unknown" for finding in findings)
    said = f"Found: {'; '.join(found)}." if found else "None of the known failures was found."
    return said + (f" {n_unknown} could not be measured." if n_unknown else "")


def _clock(seconds: float) -> str:
    """Return a time in the unit that suits it."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _finding(finding: Finding) -> str:
    figure = f"<p><small>{escape(finding.figure)}</small></p>" if finding.figure else ""
    return (
        f'<div class="finding {finding.status}">'
        f'<b data-status="{_STATUS[finding.status]}">{escape(finding.signature)}</b>'
        f"<p>{escape(finding.said)}</p>{figure}</div>"
    )


def _previews(run: Run) -> str:
    if not run.previews:
        return "<h2>Before and after</h2><p>The run has written no previews yet.</p>"
    ends = [run.previews[0], run.previews[-1]][: len(run.previews)]
    pictures = "".join(
        f"<h3>After {preview.step} steps</h3>"
        + picture(preview.picture.read_bytes(), f"what the run made after {preview.step} steps")
        for preview in ends
        if preview.picture is not None
    )
    return f"<h2>Before and after</h2>{_sounds(ends)}{_shares(ends)}{pictures}"


def _sounds(ends: list[Preview]) -> str:
    """Return a table of players: the recording, what was made of it at first, and at last."""
    real = next((row for name in ROWS.values() if (row := ends[-1].row(name))), [])
    columns = {"recording": real} if real else {}
    columns |= {f"after {preview.step} steps": made_sounds(preview) for preview in ends}
    n_rows = max(len(column) for column in columns.values())
    if n_rows == 0:
        return "<p>The run wrote pictures, and no sounds.</p>"
    shown = range(0, n_rows, -(-n_rows // _MOST_SOUNDS))
    rows = "".join(
        "<tr>" + "".join(f"<td>{_cell(column, k)}" for column in columns.values()) + "</tr>"
        for k in shown
    )
    head = "".join(f"<th>{escape(name)}" for name in columns)
    return f'<table class="sounds"><tr>{head}</tr>{rows}</table>'


def _cell(column: list[Path], k: int) -> str:
    if k >= len(column):
        return ""
    name = column[k].stem.partition("-")[2]
    return f"<small>{escape(name)}</small>{player(column[k].read_bytes())}"


def _shares(ends: list[Preview]) -> str:
    """Return how often held-out sounds find their caption, by label, at first and at last."""
    if not any(preview.shares for preview in ends):
        return ""
    head = "".join(f"<th>after {preview.step} steps" for preview in ends)
    rows = "".join(
        f"<tr><td>{escape(label)}"
        + "".join(f'<td class="n">{_percent(preview.shares.get(label))}' for preview in ends)
        + "</tr>"
        for label in ends[-1].shares
    )
    return f"<table><tr><th>held-out sounds that find their caption{head}</tr>{rows}</table>"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.0f} %"


def _table(title: str, values: dict[str, Any]) -> str:
    if not values:
        return f"<h2>{title}</h2><p>Not known.</p>"
    rows = "".join(
        f'<tr><td>{escape(name)}<td class="n">{escape(str(value))}</tr>'
        for name, value in values.items()
    )
    return f"<h2>{title}</h2><table>{rows}</table>"


def _flat(values: dict[str, Any], before: str = "") -> dict[str, Any]:
    """Return nested settings under names with dots, as `--set` takes them."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{before}{name}.")
        else:
            flat[before + name] = value
    return flat


def _sessions(run: Run) -> str:
    sessions = run.facts.get("sessions") or []
    rows = {
        f"from step {one.get('first_step')}, {one.get('started')}": (
            f"to step {one.get('last_step')}, {_clock(float(one.get('seconds') or 0))}"
        )
        for one in sessions
    }
    return _table("Time", rows or {"all sessions, as logged": _clock(run.seconds)})
