"""Write the embedded model's card: `python recipes/tiny/model_card.py MANIFEST MODEL_FOLDER`.

The figures come from the reports of `make bench`; the attribution of every recording from the
manifest. Writes MODEL_CARD.md and ATTRIBUTION.csv into the model folder.
"""

import csv
import json
import sys
from pathlib import Path
from typing import Any

from latentfoley.data.metadata import Entry, read_manifest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks" / "tiny"
EVALUATION = BENCHMARKS.parent / "evaluation" / "tiny.json"
LICENCE_URLS = {
    "CC0": "http://creativecommons.org/publicdomain/zero/1.0/",
    "CC-BY": "http://creativecommons.org/licenses/by/3.0/",
}
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


def main(manifest: Path, model: Path) -> None:
    entries = read_manifest(manifest)
    reports = {
        name: json.loads((BENCHMARKS / f"{name}.json").read_text(encoding="utf-8"))
        for name in ("classifier", "recognition", "reconstruction", "speed")
    }
    text = (Path(__file__).with_name("model_card.md")).read_text(encoding="utf-8")
    parts = {
        "counts": counts(entries),
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
    write_attribution(model / "ATTRIBUTION.csv", entries)


def counts(entries: list[Entry]) -> str:
    train = [entry for entry in entries if entry.split == "train"]
    licences = sorted({entry.licence for entry in entries})
    return (
        f"{len(train)} recordings trained on, {len(entries) - len(train)} kept out; "
        f"licences: {', '.join(licences)}"
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
    for name in (
        "VAE",
        "vocoder",
        "vocoder, phases mended",
        "Griffin-Lim",
        "VAE + vocoder, phases mended",
    ):
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


def write_attribution(path: Path, entries: list[Entry]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["path", "title", "author", "source_url", "licence", "licence_url", "split"]
        )
        for e in entries:
            address = LICENCE_URLS[e.licence]
            row = [e.path, e.title, e.author, e.source_url, e.licence, address, e.split]
            writer.writerow(row)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
