"""A table of requests → rows: JSON lines, CSV, TSV or Parquet; a row is a generation or an edit.

    {"id": "dog", "prompt": "a dog barking", "seed": 7}
    {"id": "violin", "edit": "transfer", "source": "violin.wav", "prompt": "a dog barking"}

Every other column is an option of `GenerationRequest` or `EditRequest` by its Python name; an empty
cell is one that was not given. Rows are read one after another and are never all in memory.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from latentfoley.data.metadata_index import DiskTable
from latentfoley.data.tables import SUFFIXES as TABLES
from latentfoley.data.tables import parse_rows
from latentfoley.errors import InputError, nearest_files

SUFFIXES = (*TABLES, ".parquet")
_ROWS_AT_ONCE = 1000  # of a Parquet file


class Row(NamedTuple):
    """One line of a manifest.

    Attributes:
        number: counted from 0.
        id: its own, or its number where it has none; unlike any other.
        asked: the cells that are not empty, without the id.
    """

    number: int
    id: str
    asked: dict[str, Any]


def read_manifest(path: Path) -> Iterator[Row]:
    """Yield the rows of a manifest.

    Raises:
        InputError: no such file, another suffix, a line that is no row, two rows of one id, or no
            rows at all.
    """
    if not path.is_file():
        raise InputError(f"there is no manifest '{path}'.{nearest_files(path)}")
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"manifests end in {', '.join(SUFFIXES)}; got '{path.name}'")
    number = -1
    with DiskTable() as numbers:
        for number, (where, cells) in enumerate(_cells(path)):
            asked = {name: value for name, value in cells.items() if value not in (None, "")}
            row = Row(number, str(asked.pop("id", number)), asked)
            first = numbers.setdefault(row.id, str(number))
            if first != str(number):
                raise InputError(f"{where}: the id '{row.id}' is that of row {first} too")
            yield row
    if number < 0:
        raise InputError(f"the manifest '{path}' has no rows")


def _cells(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (where it stands, cells) of every row."""
    if path.suffix.lower() == ".parquet":
        yield from _cells_of_parquet(path)
        return

    def refuse(where: str, reason: str) -> NoReturn:
        raise InputError(f"{path.parent / where}: {reason}")

    is_jsonl = path.suffix.lower() == ".jsonl"
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            for number, cells in parse_rows(lines, path.name, refuse):
                plain = cells if is_jsonl else {k: _parsed(v) for k, v in cells.items()}
                yield f"{path}:{number}", plain
    except UnicodeDecodeError:
        raise InputError(f"{path}: not text in UTF-8; save the file as UTF-8") from None


def _parsed(cell: str | None) -> Any:
    """Return a cell of a CSV: a list or object where it is written as one in JSON, else a text."""
    if cell and cell[0] in "[{":
        try:
            return json.loads(cell)
        except ValueError:  # a prompt may begin with a bracket
            return cell
    return cell


def _cells_of_parquet(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    import pyarrow
    import pyarrow.parquet

    number = 0
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            for some in file.iter_batches(_ROWS_AT_ONCE):
                for cells in some.to_pylist():
                    yield f"{path}: row {number}", cells
                    number += 1
    except pyarrow.ArrowInvalid as error:
        raise InputError(f"{path} is damaged or no Parquet file ({error})") from None
