"""What was measured, as means with intervals: for the record, and as tables of a document.

A prompt's seeds are not independent: they are averaged first, and the bootstrap draws prompts.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from suite import OPERATIONS, SEEDS

from latentfoley.evaluation.metrics.score import Bootstrap, mean_score

RESAMPLES = 1000
RATES = ("success", "rest unchanged")
CASES = Mapping[str, Any]

TITLES = {
    "transfer": "Transfer",
    "inpaint": "Inpainting in time",
    "bands": "Inpainting of a band",
    "upsample": "Upsampling",
    "vary": "Variation",
    "extend": "Extension",
    "loop": "Loop",
    "morph": "Morph",
}
SUCCESS = {
    "transfer": "the judge hears the target: the independent classifier for everyday sounds, "
    "CLAP for drums and synths",
    "inpaint": "every sample outside the span and its cross-fade is the recording's own",
    "bands": "outside the band the change is 40 dB below the sound, or more",
    "upsample": "below four fifths of the old highest frequency the change is 40 dB below the "
    "sound, or more",
    "vary": "the classifier hears the recording's class",
    "extend": "every sample of the recording, up to the cross-fade, is its own",
    "loop": "at the seam neither the samples nor the spectrum change more than they do inside "
    "(95th percentile)",
    "morph": "to CLAP it is nearer to either recording than these are to each other",
}
METHODS = {
    "edit": "the edit",
    "inverted": "the edit, `--invert --strength 0.7`",
    "generation": "plain generation",
    "generation as a loop": "`generate --loop`",
    "silence": "silence",
    "sinc": "plain sinc resampling",
    "keep": "the recording as it is",
    "reconstruction": "the truth, through VAE and vocoder",
    "mix": "both at once",
}
NOTES = {
    "envelope": "how far the course of the level stays: correlation of 40 ms levels in dB",
    "log-mel change": "mean difference from the recording, in nats",
    "LSD": "log-spectral distance to the truth, in decades of power",
    "STFT": "multi-resolution STFT distance to the truth",
    "sample step": "at the seam, over the largest inside",
    "spectral step": "at the seam, over the 95th percentile inside",
}
SHOWN = 6  # worst cases that are named, of each operation


def summarise(cases: CASES) -> dict[str, Any]:
    """Return mean, interval and count, by operation, part of it, method and figure."""
    out: dict[str, Any] = {}
    for operation in OPERATIONS:
        own = [case for case in cases.values() if case["operation"] == operation]
        groups = {"all": own} | {
            name: [case for case in own if case["group"] == name]
            for name in dict.fromkeys(case["group"] for case in own)
        }
        out[operation] = {
            name: {method: _figures(some, method) for method in some[0]["methods"]}
            for name, some in groups.items()
            if some
        }
    return out


def per_case(case: Mapping[str, Any], method: str, figure: str) -> float:
    """Return the mean of a figure over the seeds of a case."""
    return float(np.mean([row[figure] for row in case["methods"][method]]))


def _figures(cases: Sequence[Mapping[str, Any]], method: str) -> dict[str, Any]:
    names = [name for name in cases[0]["methods"][method][0] if name != "leak_dB"]
    return {name: _interval([per_case(case, method, name) for case in cases]) for name in names}


def _interval(values: list[float]) -> dict[str, Any]:
    if len(values) < 2:
        return {"mean": round(values[0], 4), "n": len(values)}
    score = mean_score(
        "", np.array(values), better="neither", caveat="", bootstrap=Bootstrap(RESAMPLES)
    )
    interval = [round(end, 4) for end in score.interval or ()]
    return {"mean": round(score.value, 4), "interval_95": interval, "n": score.n}


def cell(name: str, figure: Mapping[str, Any]) -> str:
    """Return a figure as it stands in a table.

    Example:
        >>> cell("success", {"mean": 0.5, "interval_95": [0.25, 0.75], "n": 8})
        '50 % (25 to 75)'
    """
    ends = figure.get("interval_95") or ()
    if name in RATES:
        whole = [f"{100 * min(max(end, 0.0), 1.0):.0f}" for end in ends]
        return f"{100 * figure['mean']:.0f} %" + (f" ({' to '.join(whole)})" if whole else "")
    decimals = [f"{end:.2f}" for end in ends]
    return f"{figure['mean']:.2f}" + (f" ({' to '.join(decimals)})" if decimals else "")


def tables(results: Mapping[str, Any]) -> str:
    """Return the document: every operation's table, its parts, and where it fails."""
    probed = results.get("probed")
    again = (
        f" The code has changed since they were measured; {', '.join(probed['again'])} gave the "
        "same figures again, to within 0.01."
        if probed
        else ""
    )
    parts = [
        "# Editing, measured\n",
        "Written by `make manipulation`; do not edit. "
        f"{len(results['cases'])} edits of recordings that were kept out of training, "
        f"{len(SEEDS)} seeds each, with default settings, by the model with hash "
        f"`{results['model_hash'][:12]}`. Means with 95 % bootstrap intervals over prompts. An "
        f"interval from 100 to 100 says that no prompt failed, not that none ever would.{again} "
        "[Editing](editing.md) says what to make of it; "
        "`build/manipulation/report.html` lets you hear it.\n",
        "The baselines fill what the edit fills, at the same level and with the same cross-fade. "
        "Distances of the truth through VAE and vocoder are what no edit that works through them "
        "can be expected to beat. Lower distances are better; a fair filling need not be near the "
        "truth, for it is not the only one.\n",
    ]
    for operation in OPERATIONS:
        if results["summary"].get(operation):
            parts.append(_section(operation, results))
    return "\n".join(parts)


def _section(operation: str, results: Mapping[str, Any]) -> str:
    groups = results["summary"][operation]
    total = groups["all"]
    names = list(total["edit"])
    n_cases = total["edit"]["success"]["n"]
    notes = [f"{name}: {NOTES[name]}" for name in names if name in NOTES]
    lines = [
        f"## {TITLES[operation]}\n",
        f"{n_cases} prompts. Success: {SUCCESS[operation]}.",
        *([f"{'; '.join(notes)}."] if notes else []),
        "",
        *_table("", names, {METHODS[name]: total[name] for name in total}),
    ]
    if len(groups) > 2:
        own = {name: groups[name]["edit"] for name in groups if name != "all"}
        lines += ["The edit alone, by kind:\n", *_table("", names, own)]
    failed = _failures(operation, results["cases"])
    if failed:
        lines += ["Where it fails most:\n", *failed, ""]
    return "\n".join(lines)


def _table(head: str, names: Sequence[str], rows: Mapping[str, Mapping[str, Any]]) -> list[str]:
    lines = [f"| {head} | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for title, figures in rows.items():
        cells = [cell(name, figures[name]) if name in figures else "" for name in names]
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return [*lines, ""]


def _failures(operation: str, cases: CASES) -> list[str]:
    """Name the cases that fail with most seeds; of those that never fail, the farthest off."""
    own = {name: case for name, case in cases.items() if case["operation"] == operation}
    missed = {name: 1 - per_case(case, "edit", "success") for name, case in own.items()}
    worst = [name for name in sorted(own, key=lambda name: -missed[name]) if missed[name] > 0.5]
    return [f"- {_describe(name, own[name])}" for name in worst[:SHOWN]] + (
        [f"- and {len(worst) - SHOWN} more"] if len(worst) > SHOWN else []
    )


def _describe(name: str, case: Mapping[str, Any]) -> str:
    n_failed = sum(row["success"] < 1 for row in case["methods"]["edit"])
    said = f': "{case["prompt"]}"' if case.get("prompt") else ""
    recording = "/".join(case["source"].split("/")[2:])
    return f"`{name}`, {recording}{said} ({n_failed} of {len(case['methods']['edit'])})"
