"""Tables of text: CSV, TSV and JSONL, row by row; a bad row is reported and passed over."""

import codecs
import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

SUFFIXES = (".csv", ".tsv", ".jsonl")

Row = dict[str, Any]
Report = Callable[[str, str], None]
"""Takes where something is wrong, and what."""


def read_rows(path: Path, report: Report) -> Iterator[Row]:
    """Yield the rows of a table as dictionaries; tell `report` of what cannot be read."""
    try:
        with path.open(encoding=_encoding(path), newline="") as file:
            reader = _jsonl if path.suffix.lower() == ".jsonl" else _csv
            yield from reader(file, path.name, report)
    except (OSError, csv.Error) as error:
        report(path.name, f"cannot be read on: {error}")


def read_object(path: Path, report: Report) -> Row:
    """Return the JSON object in a file, empty (and reported) where there is none."""
    try:
        value = json.loads(path.read_text(encoding=_encoding(path)))
    except (OSError, ValueError, RecursionError) as error:
        report(path.name, f"not JSON ({getattr(error, 'msg', error)})")
        return {}
    if isinstance(value, dict):
        return value
    report(path.name, f"expected a JSON object, got {type(value).__name__}")
    return {}


def _csv(file: TextIO, name: str, report: Report) -> Iterator[Row]:
    delimiter = "\t" if name.lower().endswith(".tsv") else ","
    # AudioSet puts a space after each comma, and its column names behind the last of three "#".
    audioset = name.endswith("_segments.csv")
    lines = (line for line in file if not (audioset and line[:2] == "# " and "YTID" not in line))
    reader = csv.DictReader(lines, delimiter=delimiter, skipinitialspace=True)
    for row in reader:
        if None in row:  # csv keeps there what a comma without quotes has cut off
            report(
                f"{name}:{reader.line_num}",
                f"more fields than columns, from {row[None][0]!r} on; put commas in quotes",
            )
        yield {key.removeprefix("# "): value for key, value in row.items() if key is not None}


def _jsonl(file: TextIO, name: str, report: Report) -> Iterator[Row]:
    for number, line in enumerate(file, start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            report(f"{name}:{number}", f"not JSON ({getattr(error, 'msg', error)})")
            continue
        if isinstance(value, dict):
            yield value
        else:
            report(f"{name}:{number}", f"expected a JSON object, got {type(value).__name__}")


def _encoding(path: Path) -> str:
    """Return UTF-8 where a file is that, else Latin-1, in which some of Clotho's tables are."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as file:
        try:
            while block := file.read(1 << 20):
                decoder.decode(block)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return "latin-1"
    return "utf-8-sig"
