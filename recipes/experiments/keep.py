"""Keep what an experiment found: `python recipes/experiments/keep.py NAME`, after `ablate`.

Reads `build/experiments/NAME` and writes `docs/experiments/NAME.json` (every value, interval and
test; not the clips, and no numbers of single prompts), `NAME.png`, and the tables of `NAME.md`
between its two marks. A test holds the page to the JSON, and the JSON to the recipe.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

FOUND, KEPT = Path("build/experiments"), Path("docs/experiments")
BEGIN, END = "<!-- tables: keep.py -->", "<!-- end of tables -->"
COLUMNS = (
    ("recognised", "classifier"),
    ("CLAP score", "clap (tiny)"),
    ("FD", "classifier"),
    ("KID", "classifier"),
    ("diversity", "classifier"),
    ("FD", "clap (tiny)"),
)
_COLOURS = 64  # of the picture: lines, bands and their edges

Record = dict[str, Any]


def main(name: str) -> None:
    from plots import plot  # beside this script

    record = kept(json.loads((FOUND / name / "results.json").read_text(encoding="utf-8")))
    (KEPT / f"{name}.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    picture = KEPT / f"{name}.png"
    plot(record, picture)
    Image.open(picture).convert("RGB").quantize(_COLOURS).save(picture, optimize=True)
    page = KEPT / f"{name}.md"
    before, after = page.read_text(encoding="utf-8").split(BEGIN)
    after = after.split(END)[1]
    page.write_text(f"{before}{BEGIN}\n\n{tables(record)}\n{END}{after}", encoding="utf-8")


def kept(found: Record) -> Record:
    """Return results without prompts, clips and the numbers of single prompts."""
    results = [
        {
            **{key: value for key, value in result.items() if key != "cells"},
            "cells": [
                {key: value for key, value in cell.items() if key != "per_prompt"}
                for cell in result["cells"]
            ],
        }
        for result in found["results"]
    ]
    return {
        "cells": found["cells"],
        "n_prompts": len(found["prompts"]),
        "n_clips": found["n_clips"],
        "warnings": found["warnings"],
        "origin": found["origin"],
        "results": results,
    }


def tables(record: Record) -> str:
    """Return the values of every cell, and every difference that was shown."""
    results = columns(record)
    n = sum(len(result["differences"]) for result in results)
    shown = list(differences(results))
    said = (
        f"Of the {n} comparisons of these metrics {len(shown)} were shown to differ (p is Holm's, "
        f"within a metric; the JSON file has all {len(record['results'])} metrics):"
    )
    return "\n".join([*values(record), "", said, "", *shown_table(shown), ""])


def columns(record: Record) -> list[Record]:
    """Return the results that the page shows, in its order."""
    found = {(result["metric"], result["embedder"]): result for result in record["results"]}
    return [found[column] for column in COLUMNS if column in found]


def values(record: Record) -> Iterator[str]:
    """Yield a table with a row per cell: value and 95 % interval, and each run where several."""
    results = columns(record)
    heads = [f"{result['metric']}, {short(result['embedder'])}" for result in results]
    yield f"| cell | {' | '.join(heads)} |"
    yield "| --- |" + " --- |" * len(results)
    for k, cell in enumerate(record["cells"]):
        row = [value(result["cells"][k]) for result in results]
        yield f"| {cell['label']} | {' | '.join(row)} |"


def differences(results: list[Record]) -> Iterator[list[str]]:
    """Yield a row for every comparison whose verdict is a difference."""
    for result in results:
        for one in result["differences"]:
            if one["verdict"] == "not shown to differ":
                continue
            low, high = one["interval"]
            yield [
                f"{result['metric']}, {short(result['embedder'])}",
                one["cell"],
                one["baseline"],
                f"{one['difference']:+.3g} ({low:.3g} to {high:.3g})",
                f"{one['p_holm']:.2g}",
                over_runs(one),
            ]


def shown_table(rows: list[list[str]]) -> Iterator[str]:
    """Yield the table of differences; p over training runs where there were several."""
    heads = ["metric", "cell", "against", "difference", "p", "p over runs"]
    width = len(heads) if any(row[-1] for row in rows) else len(heads) - 1
    for row in [heads, ["---"] * len(heads), *rows]:
        yield f"| {' | '.join(row[:width])} |"


def over_runs(difference: Record) -> str:
    """Return p over training runs, "" where each cell is one model."""
    p = difference["p_runs"]
    return f"{p['value']:.2g} (at best {p['least']:.2g})" if p else ""


def value(cell: Record) -> str:
    """Return a value with its interval, and with each training run where there are several."""
    runs = "; ".join(f"{one:.3g}" for one in cell["per_model"]) if cell["per_model"][1:] else ""
    low, high = cell["interval"]
    return f"{cell['value']:.3g} ({low:.3g} to {high:.3g})" + (f" [{runs}]" if runs else "")


def short(embedder: str) -> str:
    """Return the name of an embedder without its model."""
    return str(embedder.partition(" ")[0])


if __name__ == "__main__":
    main(sys.argv[1])
