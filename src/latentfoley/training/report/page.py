"""The page of a run: one HTML file with its diagnosis, curves, sounds and settings."""

from typing import Any

from latentfoley.training.report.curves import draw_curves
from latentfoley.training.report.findings import Finding
from latentfoley.training.report.losses import diagnose_log
from latentfoley.training.report.run import Run
from latentfoley.training.report.sounds import diagnose_sounds
from latentfoley.webpage import render

_KINDS = {"diffusion": "denoiser", "vae": "VAE", "vocoder": "vocoder", "clap": "CLAP"}
_ORDER = ("found", "unknown", "clear")
_MOST_SOUNDS = 4  # each with its recording, at the first and the last preview


def diagnose(run: Run) -> list[Finding]:
    """Return a finding for every failure that a run of this kind can have, the found ones first."""
    findings = [*diagnose_log(run), *diagnose_sounds(run)]
    return sorted(findings, key=lambda finding: _ORDER.index(finding.status))


def page(run: Run, findings: list[Finding]) -> str:
    """Return the report of a run as HTML."""
    machine = {name: run.metadata.get(name) or {} for name in ("hardware", "versions")}
    ends = [*run.previews[:1], *run.previews[1:][-1:]]
    return render(
        "training.html",
        title=f"Training of the {_KINDS[run.kind]} in {run.folder}",
        summary=summary(run),
        verdict=verdict(findings),
        findings=findings,
        curves=draw_curves(run),
        sounds=_sounds(run),
        pictures={one.step: one.picture.read_bytes() for one in ends if one.picture},
        shares={
            label: [one.shares.get(label) for one in ends]
            for label in (ends[-1].shares if ends else ())
        },
        steps=[one.step for one in ends],
        tables={
            "Settings": _flat(run.recipe),
            "Data": _flat(run.metadata.get("data") or {}),
            "Machine": _flat(machine),
        },
        sessions=run.metadata.get("sessions") or [],
    )


def summary(run: Run) -> str:
    """Return in a line how far a run is, and how long that took."""
    metadata, wanted = run.metadata, run.recipe.get("run", {}).get("steps")
    saved = [int(session.get("last_step") or 0) for session in metadata.get("sessions") or []]
    done = max([int(run.records[-1]["step"]) + 1, *saved])
    parts = [f"{done} of {wanted} steps" if wanted else f"{done} steps"]
    parts.append(f"{_clock(run.seconds)} of training")
    if metadata.get("n_parameters"):
        parts.append(f"{metadata['n_parameters']:,} weights")
    if metadata.get("n_processes", 1) > 1:
        parts.append(f"{metadata['n_processes']} processes")
    if best := metadata.get("best"):
        parts.append(f"best validation loss {best['loss']:.4g} at step {best['step']}")
    return ", ".join(parts) + "."


def verdict(findings: list[Finding]) -> str:
    """Return in a line what was found."""
    found = [finding.name for finding in findings if finding.status == "found"]
    n_unknown = sum(finding.status == "unknown" for finding in findings)
    said = f"Found: {'; '.join(found)}." if found else "None of the known failures was found."
    return said + (f" {n_unknown} could not be measured." if n_unknown else "")


def _clock(seconds: float) -> str:
    """Return a time in the unit that suits it."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _sounds(run: Run) -> list[dict[str, Any]]:
    """Return the name and the sounds of some recordings: each with what was generated from it at
    first, and at last."""
    if not run.previews or not run.previews[-1].generated:
        return []
    first, last = run.previews[0], run.previews[-1]
    numbers = sorted(last.generated)
    found = []
    for k in numbers[:: -(-len(numbers) // _MOST_SOUNDS)]:
        rows = {
            "recording": last.recordings,
            f"after {first.step} steps" if first.step else "before": first.generated,
            f"after {last.step} steps": last.generated,
        }
        sounds = {name: row[k].read_bytes() for name, row in rows.items() if k in row}
        found.append({"name": run.names.get(k, ""), "sounds": sounds})
    return found


def _flat(values: dict[str, Any], before: str = "") -> dict[str, Any]:
    """Return nested settings under names with dots, as `--set` takes them."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{before}{name}.")
        else:
            flat[before + name] = value
    return flat
