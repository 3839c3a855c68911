"""Tables of text: CSV, TSV and JSONL, row by row; a bad row is reported and passed over.

A CSV may separate its columns by commas, semicolons or tabs, with spaces after them. Files are in
UTF-8, in UTF-16 with a byte order mark, or (some of Clotho's) in Latin-1.
"""

import codecs
import csv
import json
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

SUFFIXES = (".csv", ".tsv", ".jsonl")

Row = dict[str, Any]
Report = Callable[[str, str], None]
"""Takes where something is wrong, and what."""

_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_rows(path: Path, report: Report) -> Iterator[Row]:
    """Yield the rows of a table as dictionaries; tell `report` of what cannot be read."""
    try:
        with path.open(encoding=_encoding(path), newline="") as file:
            for _, row in parse_rows(file, path.name, report):
                yield row
    except (OSError, UnicodeError) as error:
        report(path.name, f"cannot be read on: {error}")


def parse_rows(lines: Iterable[str], name: str, report: Report) -> Iterator[tuple[int, Row]]:
    """Yield (number of the first line, row) of a table whose name ends in one of `SUFFIXES`."""
    parse = _jsonl if name.lower().endswith(".jsonl") else _csv
    return parse(lines_of_text(lines, name, report), name, report)


def lines_of_text(lines: Iterable[str], name: str, report: Report) -> Iterator[str]:
    """Yield lines up to the first that no text has, which is reported."""
    for number, line in enumerate(lines, start=1):
        if "\0" in line:
            report(
                f"{name}:{number}",
                "holds a NUL: it is no text, or UTF-16 without its mark; save the file as UTF-8",
            )
            return
        yield line


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


def encoding_by_mark(start: bytes) -> str:
    """Return the encoding that the first bytes of a file announce: UTF-16, or else UTF-8."""
    return "utf-16" if start.startswith(_UTF_16) else "utf-8-sig"


def _csv(lines: Iterator[str], name: str, report: Report) -> Iterator[tuple[int, Row]]:
    # AudioSet puts a space after each comma, and its column names behind the last of three "#".
    audioset = name.endswith("_segments.csv")
    kept = (line for line in lines if not (audioset and line[:2] == "# " and "YTID" not in line))
    columns: list[str] = []
    for number, cells in _records(kept, name, report):
        if not columns:
            columns = [cell.strip().removeprefix("# ") for cell in cells]
            if twice := _first_twice(column.casefold() for column in columns if column):
                report(f"{name}:{number}", f"two columns are called '{twice}'; rename one")
            continue
        if len(cells) > len(columns):  # a comma without quotes has cut a text in two
            surplus = cells[len(columns)]
            report(
                f"{name}:{number}",
                f"more fields than columns, from {surplus!r} on; put commas in quotes",
            )
        pairs = list(zip(columns, cells, strict=False))
        yield number, dict.fromkeys(columns) | dict(reversed(pairs))  # of two the first counts


def _first_twice(names: Iterable[str]) -> str | None:
    """Return the first name that was there before."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None


def _records(lines: Iterator[str], name: str, report: Report) -> Iterator[tuple[int, list[str]]]:
    """Yield (number of the first line, cells) of a CSV, blank lines left out."""
    head: list[str] = []
    for line in lines:
        head.append(line)
        if line.strip():
            break
    # The header says what separates the columns: what it holds most of.
    delimiter = "\t" if name.lower().endswith(".tsv") else max(",;\t", key="".join(head).count)
    reader = csv.reader(chain(head, lines), delimiter=delimiter, skipinitialspace=True, strict=True)
    while True:
        number = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            said = str(error)
            if "unexpected end" in said or "field limit" in said:
                report(f"{name}:{number}", "a quote that is opened here is never closed")
                return
            hint = '; write a quote inside quotes twice ("")' if "expected after" in said else ""
            report(f"{name}:{number}", f"not CSV ({said}){hint}")
            continue
        if cells:
            yield number, cells


def _jsonl(lines: Iterator[str], name: str, report: Report) -> Iterator[tuple[int, Row]]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line, object_pairs_hook=_object)
        except (ValueError, RecursionError) as error:
            report(f"{name}:{number}", f"not JSON ({getattr(error, 'msg', error)})")
            continue
        if isinstance(value, dict):
            yield number, value
        else:
            report(f"{name}:{number}", f"expected a JSON object, got {type(value).__name__}")


def _object(pairs: list[tuple[str, Any]]) -> Row:
    if twice := _first_twice(name for name, _ in pairs):
        raise ValueError(f"two values are called '{twice}'")
    return dict(pairs)


def _encoding(path: Path) -> str:
    """Return what a file announces, UTF-8 where it is that, else Latin-1."""
    with path.open("rb") as file:
        first = encoding_by_mark(file.read(4))
        if first == "utf-16":
            return first
        file.seek(0)
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            while block := file.read(1 << 20):
                decoder.decode(block)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return "latin-1"
    return first
