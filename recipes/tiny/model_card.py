"""Write the embedded model's card: `python recipes/tiny/model_card.py MANIFEST ALL MODEL_FOLDER`.

The figures come from the reports of `make bench`; the attribution of every recording from the two
manifests: of what all parts were trained on, and of what the vocoder was. Writes MODEL_CARD.md and
ATTRIBUTION.csv into the model folder; recordings that the vocoder was trained on before stay in it.
"""

import csv
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from latentfoley.data.metadata import Entry, read_manifest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks" / "tiny"
EVALUATION = BENCHMARKS.parent / "evaluation" / "tiny.json"
LICENCE_URLS = {
    "CC0": "https://creativecommons.org/publicdomain/zero/1.0/",
    "CC-BY": "https://creativecommons.org/licenses/by/3.0/",
    "CC-BY-3.0": "https://creativecommons.org/licenses/by/3.0/",
    "CC-BY-4.0": "https://creativecommons.org/licenses/by/4.0/",
    "MIT": "https://opensource.org/license/mit",
    "PD": "https://creativecommons.org/publicdomain/mark/1.0/",
}
Row = dict[str, str]
COMPARED = {
    "real recordings": "real",
    "held-out recordings through VAE and vocoder": "through VAE and vocoder",
    "generated from texts": "generated",
}
SCORES = (
    ("classifier", "FD"),
    ("classifier", "KAD"),
    ("classifier", "IS"),
    ("classifier", "KL softmax"),
    ("classifier", "diversity"),
    ("classifier", "diversity of the reference"),
    ("clap (tiny)", "FD"),
    ("clap (tiny)", "KAD"),
    ("clap (tiny)", "CLAP score"),
    ("clap (tiny)", "memorised clips"),
    ("levels", "silent clips"),
    ("levels", "clipped clips"),
)
SETS = (
    "held-out recordings",
    "the same through VAE and vocoder",
    "from texts",
    "from held-out recordings",
)


def main(manifest: Path, all_recordings: Path, model: Path) -> None:
    attribution = attributed(read_manifest(manifest), read_manifest(all_recordings))
    attribution += still_owed(model / "ATTRIBUTION.csv", {row["path"] for row in attribution})
    reports = {
        name: json.loads((BENCHMARKS / f"{name}.json").read_text(encoding="utf-8"))
        for name in ("classifier", "recognition", "reconstruction", "speed")
    }
    text = (Path(__file__).with_name("model_card.md")).read_text(encoding="utf-8")
    parts = {
        "counts": counts(attribution),
        "recognition": recognition(reports["recognition"]),
        "classifier": classifier(reports["classifier"]),
        "reconstruction": reconstruction(reports["reconstruction"]),
        "evaluation": evaluation(json.loads(EVALUATION.read_text(encoding="utf-8"))),
        "speed": speed(reports["speed"]),
        "size": f"{sum(f.stat().st_size for f in model.glob('*/*')) / 1e6:.1f} MB",
        "hash": reports["recognition"]["model_hash"],
    }
    for name, part in parts.items():
        text = text.replace(f"<!-- {name} -->", part)
    (model / "MODEL_CARD.md").write_text(text, encoding="utf-8")
    write_attribution(model / "ATTRIBUTION.csv", attribution)


def counts(attribution: list[Row]) -> str:
    """Return on how many recordings which parts were trained, and their licences."""
    n = Counter((row["parts"], row["split"]) for row in attribution)
    licences = ", ".join(sorted({row["licence"] for row in attribution}))
    return (
        f"{n['all', 'train']} recordings for all parts, {n['all', 'valid']} kept out; "
        f"{n['vocoder', 'train']:,} more for the vocoder alone; licences: {licences}"
    )


def recognition(report: dict[str, Any]) -> str:
    labels = list(report[SETS[0]]["per_class"])
    rows = ["| class | " + " | ".join(SETS) + " |", "| --- |" + " --- |" * len(SETS)]
    for label in labels:
        cells = [f"{report[name]['per_class'][label]:.0%}" for name in SETS]
        rows.append(f"| {label} | " + " | ".join(cells) + " |")
    whole = [
        f"**{report[name]['accuracy']:.1%}** ({report[name]['interval_95'][0]:.1%} to "
        f"{report[name]['interval_95'][1]:.1%}, n = {report[name]['n']})"
        for name in SETS
    ]
    return "\n".join([*rows, "| all | " + " | ".join(whole) + " |"])


def evaluation(report: dict[str, Any]) -> str:
    heads = [f"{head}, n = {report[name]['n']}" for name, head in COMPARED.items()]
    n = report[next(iter(COMPARED))]["n_reference"]
    rows = [f"| against {n} held-out recordings | " + " | ".join(heads) + " |"]
    rows.append("| --- |" + " --- |" * len(heads))
    for ears, score in SCORES:
        found = [report[name]["scores"][ears].get(score) for name in COMPARED]
        name = score if ears == "levels" else f"{score}, {ears.partition(' ')[0]}"
        rows.append(f"| {name} | " + " | ".join(map(with_interval, found)) + " |")
    return "\n".join(rows)


def with_interval(figure: dict[str, Any] | None) -> str:
    if figure is None:
        return "–"
    low, high = figure["interval_95"]
    return f"{figure['value']:.3g} ({low:.3g} to {high:.3g})"


def classifier(report: dict[str, Any]) -> str:
    real = report["real"]
    low, high = real["wilson_95"]
    return f"{real['accuracy']:.1%} of {real['n']} ({low:.1%} to {high:.1%})"


def reconstruction(report: dict[str, Any]) -> str:
    rows = ["| path | log-mel L1, nats | multi-resolution STFT |", "| --- | --- | --- |"]
    for name in ("VAE", "vocoder", "Griffin-Lim", "VAE + vocoder"):
        figures = report[name]
        cells = [cell(figures.get(key)) for key in ("log_mel_l1_nats", "multi_resolution_stft")]
        rows.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def cell(figure: dict[str, Any] | None) -> str:
    if figure is None:
        return "(no waveform)"
    low, high = figure["interval_95"]
    return f"{figure['mean']:.3f} ({low:.3f} to {high:.3f}, n = {figure['n']})"


def speed(report: dict[str, Any]) -> str:
    rows = [f"| what | median of {report['runs']} | range |", "| --- | --- | --- |"]
    for name, times in report.items():
        if isinstance(times, dict):
            span = f"{times['least_s']} to {times['most_s']} s"
            rows.append(f"| {name} | {times['median_s']} s | {span} |")
    return "\n".join([*rows, "", f"Machine: {report['machine']}."])


def attributed(entries: list[Entry], of_vocoder: list[Entry]) -> list[Row]:
    """Return a row for every recording of all parts or kept out, then for the vocoder's own."""
    known = {entry.path for entry in entries}
    others = [e for e in of_vocoder if e.split == "train" and e.path not in known]
    return [row_of(e, "all") for e in entries] + [row_of(e, "vocoder") for e in others]


def row_of(entry: Entry, parts: str) -> Row:
    """Return what is said of a recording."""
    return {
        "path": entry.path,
        "title": entry.title or Path(entry.path).stem,
        "author": entry.author,
        "source_url": entry.source_url,
        "licence": entry.licence,
        "licence_url": LICENCE_URLS[entry.licence],
        "split": entry.split,
        "parts": parts,
    }


def still_owed(path: Path, known: set[str]) -> list[Row]:
    """Return the rows of recordings that are in no manifest any more: weights came from them."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [row for row in rows if row["path"] not in known]


def write_attribution(path: Path, rows: list[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
