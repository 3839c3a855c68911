"""Write the embedded model's card: `python recipes/tiny/model_card.py MANIFEST MODEL_FOLDER`.

The figures come from the reports of `make bench`; the attribution of every recording from the
manifest. Writes MODEL_CARD.md and ATTRIBUTION.csv into the model folder; recordings that its
vocoder was trained on before, and that are in the manifest no more, stay in the latter.
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
REPORTS = ("recognition", "reconstruction", "known", "drums", "speed")
LEAST = 0.3  # of the rate at which a kind's own recordings are named: below, it is called missed
FAR_DB = 6  # from the loudness of recordings
SETS = (
    "held-out recordings",
    "the same through VAE and vocoder",
    "from texts",
    "from held-out recordings",
)


def main(manifest: Path, model: Path) -> None:
    attribution = [row_of(entry, "all") for entry in read_manifest(manifest)]
    attribution += still_owed(model / "ATTRIBUTION.csv", {row["path"] for row in attribution})
    reports = {
        name: json.loads((BENCHMARKS / f"{name}.json").read_text(encoding="utf-8"))
        for name in REPORTS
    }
    text = (Path(__file__).with_name("model_card.md")).read_text(encoding="utf-8")
    parts = {
        "counts": counts(attribution),
        "recognition": recognition(reports["recognition"]),
        "missed": missed(reports["recognition"]),
        "levels": levels(reports["recognition"]["levels"]),
        "reconstruction": reconstruction(reports["reconstruction"]),
        "evaluation": evaluation(json.loads(EVALUATION.read_text(encoding="utf-8"))),
        "known": known(reports["known"]),
        "drums": drums(reports["drums"]["clips"]),
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
        f"{n['all', 'train']:,} recordings, {n['all', 'valid']} kept out; the vocoder was trained "
        f"on {n['vocoder', 'train']} more; licences: {licences}"
    )


def recognition(report: dict[str, Any]) -> str:
    rows = ["| kind | " + " | ".join(SETS) + " |", "| --- |" + " --- |" * len(SETS)]
    for label in report[SETS[0]]["per_class"]:
        cells = [f"{report[name]['per_class'][label]:.0%}" for name in SETS]
        rows.append(f"| {label} | " + " | ".join(cells) + " |")
    for head, of in (("the ten of ESC-10", lambda r: r["ESC-10"]), ("all", lambda r: r)):
        cells = [share(of(report[name])) for name in SETS]
        rows.append(f"| {head} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def share(figures: dict[str, Any]) -> str:
    low, high = figures["interval_95"]
    return f"**{figures['accuracy']:.1%}** ({low:.1%} to {high:.1%}, n = {figures['n']})"


def missed(report: dict[str, Any]) -> str:
    """Return which kinds come out right seldom, measured by how often recordings of them do."""
    real, made = (report[name]["per_class"] for name in ("held-out recordings", "from texts"))
    kinds = [label for label in made if made[label] < LEAST * real[label]]
    if not kinds:
        return f"No kind is named less than {LEAST} times as often as its recordings."
    names = ", ".join(f"{label} ({made[label]:.0%})" for label in sorted(kinds, key=made.get))
    return f"**Missed:** named less than {LEAST} times as often as their recordings are {names}."


def levels(report: dict[str, Any]) -> str:
    rows = [
        "| kind | loudness, recordings | clips | silent, recordings | clips |",
        "| --- | --- | --- | --- | --- |",
    ]
    for label, of in report.items():
        loudness = [f"{of[name]['loudness_lufs']:.0f}" for name in ("recordings", "from texts")]
        silent = [f"{of[name]['silent_frames']:.0%}" for name in ("recordings", "from texts")]
        rows.append(f"| {label} | " + " | ".join(loudness + silent) + " |")
    return "\n".join([*rows, "", far_levels(report)])


def far_levels(report: dict[str, Any]) -> str:
    """Return which kinds are much louder or quieter than their recordings."""
    off = {
        label: of["from texts"]["loudness_lufs"] - of["recordings"]["loudness_lufs"]
        for label, of in report.items()
    }
    far = {label: dB for label, dB in off.items() if abs(dB) > FAR_DB}
    names = ", ".join(f"{label} ({far[label]:+.0f})" for label in sorted(far, key=far.get))
    return f"More than {FAR_DB} dB off: {len(far)} of {len(off)} kinds. {names}".rstrip()


def known(report: dict[str, Any]) -> str:
    return (
        f"Of {report['known prompts']} prompts of kinds that it was trained on, "
        f"{report['known prompts warned of']:.0%} are said to be far from what it knows; of "
        f"{report['unknown prompts']} of other kinds {report['unknown prompts not warned of']:.0%} "
        "are not (`benchmarks/tiny/known.py`)."
    )


def drums(clips: dict[str, Any]) -> str:
    short, long = (clips[name] for name in ("2 s", "5 s"))
    return f"{short['faint']} of {short['n']}, at 5 s {long['faint']} of {long['n']}"


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
    main(*map(Path, sys.argv[1:3]))
