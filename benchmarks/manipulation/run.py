"""Editing measured: 120 edits with three seeds each, beside what needs no editing.

    python benchmarks/manipulation/run.py

Every case is measured once, and again when something that decides its samples has changed: the
code, the weights, the recording, the case. An interrupted run goes on where it was. Where the code
alone has changed, `--probe` measures one case of every operation again, and takes the others as
they are if no figure differs by more than 0.01; the record says so. Sounds and pictures lie below
`build/manipulation/`, with a page to hear and see them; what was measured goes to
`benchmarks/manipulation/results.json`, and as tables to `docs/manipulation.md`.
"""

import argparse
import ast
import hashlib
import json
import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from figures import figures
from judges import ROOT, Judges
from measures import RATE
from methods import carry_out
from page import write_page
from suite import OPERATIONS, SEEDS, Case, read_suite
from tables import summarise, tables
from workers import each

import latentfoley
from latentfoley.audio import write_audio
from latentfoley.encoding import write_atomically

HERE = Path(__file__).parent
PACKAGE = Path(latentfoley.__file__).parent
DECISIVE = (
    *("audio", "blocks", "circle", "clap", "diffusion", "encoding", "griffin_lim", "mel"),
    *("pipeline", "request", "samplers", "sampling", "model", "unet", "vae", "vocoder", "windows"),
    *("limiter", "rows", "spectral_vocoder"),
)
"""Modules of the package that decide samples; `editing/` is one of them, whole."""

SAME = 0.01  # by which a figure may differ in a probe; the tables state two decimals

Rows = dict[str, list[dict[str, float]]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--classifier", type=Path, default=Path("build/classifier.safetensors"))
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--suite", type=Path, default=HERE / "suite.toml")
    parser.add_argument("--place", type=Path, default=Path("build/manipulation"))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--probe", action="store_true", help="see above")
    parser.add_argument("--out", type=Path, default=HERE / "results.json")
    parser.add_argument("--tables", type=Path, default=ROOT / "docs" / "manipulation.md")
    arguments = parser.parse_args()
    cases = read_suite(arguments.suite)
    results = measure_all(cases, arguments)
    results["summary"] = summarise(results["cases"])
    arguments.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    arguments.tables.write_text(tables(results), encoding="utf-8")
    write_page(arguments.place / "report.html", results, cases)
    print(f"{arguments.out}, {arguments.tables}, {arguments.place / 'report.html'}")


def measure_all(cases: list[Case], arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the record of all cases, measuring those that are not there or out of date."""
    place: Path = arguments.place
    place.mkdir(parents=True, exist_ok=True)
    model_hash = latentfoley.load(arguments.model, device="cpu").weights_hash
    ground = [code_hash(), model_hash, _hash(arguments.classifier.read_bytes())]
    prints = {case.name: fingerprint(case, arguments.data, ground) for case in cases}
    probed = probe(cases, prints, ground, arguments) if arguments.probe else None
    stale = [case for case in cases if _stored(place, case).get("print") != prints[case.name]]
    print(f"{len(cases)} cases, {len(stale)} to be measured", flush=True)
    for number, (case, rows) in enumerate(_measured(stale, arguments), start=1):
        _store(place, case, {"print": prints[case.name], "methods": rows})
        print(f"{number}/{len(stale)} {case.name} {rows['edit']}", flush=True)
    return {
        "model_hash": model_hash,
        "code_hash": ground[0],
        **({"probed": probed} if probed else {}),
        "seeds": list(SEEDS),
        "cases": {
            case.name: case.model_dump(exclude_defaults=True, exclude={"name"})
            | {"methods": _stored(place, case)["methods"]}
            for case in cases
        },
    }


def probe(
    cases: list[Case], prints: dict[str, str], ground: list[str], arguments: argparse.Namespace
) -> dict[str, Any]:
    """Measure a case of every operation again, and let the rest stand if nothing has changed.

    Returns:
        "measured_with", the hash of the code that measured all cases, and the names of those that
        were measured again.
    """
    before = json.loads(arguments.out.read_text(encoding="utf-8"))
    old = [before["code_hash"], *ground[1:]]
    stand = [
        case
        for case in cases
        if _stored(arguments.place, case).get("print") == fingerprint(case, arguments.data, old)
    ]
    firsts = [next((c for c in stand if c.operation == name), None) for name in OPERATIONS]
    again = [case for case in firsts if case]
    for case, rows in _measured(again, arguments):
        difference = _difference(rows, _stored(arguments.place, case)["methods"])
        print(f"{case.name} differs by {difference:.4f} at most", flush=True)
        if difference > SAME:
            raise SystemExit(f"{case.name} has changed: measure all again, without --probe")
    for case in stand:
        record = {"print": prints[case.name], "methods": _stored(arguments.place, case)["methods"]}
        _store(arguments.place, case, record)
    measured_with = before.get("probed", {}).get("measured_with", before["code_hash"])
    return {"measured_with": measured_with, "again": [case.name for case in again]}


def _difference(rows: Rows, before: Rows) -> float:
    """Return by how much the figures of a case differ at most; infinite if they are others."""
    one, other = (
        {
            (method, number, name): value
            for method, some in figures.items()
            for number, row in enumerate(some)
            for name, value in row.items()
        }
        for figures in (rows, before)
    )
    if one.keys() != other.keys():
        return math.inf
    return max(abs(one[key] - other[key]) for key in one)


def _measured(cases: list[Case], arguments: argparse.Namespace) -> Iterator[tuple[Case, Rows]]:
    work = partial(measure, data=arguments.data, place=arguments.place)
    places = (arguments.model, arguments.classifier, arguments.workers)
    yield from each(work, cases, *places) if cases else ()


def measure(judges: Judges, case: Case, *, data: Path, place: Path) -> Rows:
    """Carry a case out, keep its sounds, and return what was measured of each."""
    outcome = carry_out(judges.model, case, data, place)
    heard = {"source": [outcome.source], "given": [outcome.kept], **outcome.made}
    for method, waveforms in heard.items():
        for number, waveform in enumerate(waveforms):
            path = place / "sounds" / f"{case.name}-{method}-{number}.flac".replace(" ", "-")
            write_audio(path, waveform, RATE, provenance=None)
    return {
        method: [
            {name: round(value, 4) for name, value in figures(judges, case, outcome, one).items()}
            for one in waveforms
        ]
        for method, waveforms in outcome.made.items()
    }


def code_hash() -> str:
    """Return a hash of the code that decides samples and figures, comments aside."""
    files = [PACKAGE / f"{name}.py" for name in DECISIVE]
    files += sorted((PACKAGE / "editing").glob("*.py"))
    files += [HERE / f"{name}.py" for name in ("measures", "judges", "methods", "figures")]
    trees = [ast.unparse(ast.parse(file.read_text(encoding="utf-8"))) for file in files]
    return _hash("\n".join(trees).encode())


def fingerprint(case: Case, data: Path, ground: list[str]) -> str:
    """Return a hash of all that decides the figures of a case."""
    recordings = [(data / name).read_bytes() for name in (case.source, case.other) if name]
    parts = [*ground, case.model_dump_json(), str(SEEDS), *map(_hash, recordings)]
    return _hash("\n".join(parts).encode())


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def _stored(place: Path, case: Case) -> dict[str, Any]:
    path = place / "cases" / f"{case.name}.json"
    record: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    return record


def _store(place: Path, case: Case, record: dict[str, Any]) -> None:
    path = place / "cases" / f"{case.name}.json"
    write_atomically(path, json.dumps(record).encode())


if __name__ == "__main__":
    main()
