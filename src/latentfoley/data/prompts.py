"""A file of prompts → its rows: the one reader for all commands that take texts from a file.

What cannot be used is refused with the number of its line, because a sound that is missing or made
from a damaged text is found out much later.
"""

import io
import re
import reprlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, NoReturn

from latentfoley.data.metadata import cell_of, labels_of, numbered_captions, path_of
from latentfoley.data.tables import SUFFIXES as TABLES
from latentfoley.data.tables import Row, encoding_by_mark, lines_of_text, parse_rows
from latentfoley.errors import InputError, nearest_files

SUFFIXES = (".txt", *TABLES)

_ASKED = "'prompt', 'caption' or 'text'"

# Bytes of UTF-8 that were read as Windows-1252: a lead byte as a letter, then signs that no text
# has there. Closing quotes and dashes are left out of the signs: "MANHÃ”" is a good text.
_SIGNS = "".join(bytes([b]).decode("cp1252", "ignore") or chr(b) for b in range(0x80, 0xC0))
_SIGN = f"[{re.sub('[…‘’“”–—»]', '', _SIGNS)}]"
_MOJIBAKE = re.compile(
    f"[ÂÃ]{_SIGN}|â€.|(?:[ÐÑ]{_SIGN}){{2,}}|[ã-é]{_SIGN}{{2}}|ï¿½|\N{REPLACEMENT CHARACTER}"
)


class PromptRow(NamedTuple):
    """One row: a text, and what else it says.

    Attributes:
        where: file and line, for messages about the row.
        text: the prompt, without spaces around it.
        path: the recording that the row is about, "" where it names none.
        label: the first of its labels, "" where it has none.
    """

    where: str
    text: str
    path: str = ""
    label: str = ""


def read_prompts(path: Path) -> list[PromptRow]:
    """Return the rows of a .txt (one prompt a line) or of a table (.csv, .tsv, .jsonl).

    A table has a column of texts, by any of the names that tables of this field use (`prompt`,
    `caption`, `text` …, in capitals or not), and may have one of files (`path`, `file_name` …) and
    one of labels. Of several texts in a row the first counts.

    Args:
        path: in UTF-8, or in UTF-16 with a byte order mark.

    Raises:
        InputError: no such file, another suffix, no prompts, or a line that cannot be used: not in
            that encoding or damaged by a wrong one, an open quote, more fields than columns, no
            text.
    """
    if not path.is_file():
        raise InputError(f"there is no file '{path}'.{nearest_files(path)}")
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"prompts come from {', '.join(SUFFIXES)}; got '{path.name}'")
    rows = [_row(f"{path}:{number}", row) for number, row in _rows(path, _read_text(path))]
    if not rows:
        raise InputError(f"{path} holds no prompts")
    return rows


def _read_text(path: Path) -> str:
    """Return what a file says.

    Raises:
        InputError: it cannot be read, or a line is damaged.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    encoding = encoding_by_mark(data)
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = 1 + data[: error.start].decode(encoding, "replace").count("\n")
        named = "UTF-16" if encoding == "utf-16" else "UTF-8"
        raise InputError(f"{path}:{line}: not text in {named}; save the file as UTF-8") from None
    for number, shown in enumerate(text.split("\n"), start=1):
        if damaged := _MOJIBAKE.search(shown):
            raise InputError(
                f"{path}:{number}: the text is damaged at '{damaged[0]}': it was saved in one "
                "encoding and read in another; save it anew as UTF-8"
            )
    return text


def _rows(path: Path, text: str) -> Iterator[tuple[int, Row]]:
    def refuse(where: str, reason: str) -> NoReturn:
        raise InputError(f"{path.parent / where}: {reason}")

    lines = io.StringIO(text, newline="")  # a caption may hold the other separators of Unicode
    if path.suffix.lower() == ".txt":
        texts = enumerate(lines_of_text(lines, path.name, refuse), 1)
        return ((number, {"prompt": line}) for number, line in texts if line.strip())
    return parse_rows(lines, path.name, refuse)


def _row(where: str, row: Row) -> PromptRow:
    value = cell_of(row, "captions") or next(numbered_captions(row), "")
    texts = value if isinstance(value, list) else [value]
    text = next((text.strip() for text in texts if isinstance(text, str) and text.strip()), "")
    if not text:
        raise InputError(f"{where}: no text under {_ASKED} in {reprlib.repr(row)}")
    return PromptRow(where, text, path_of(row), next(iter(labels_of(row)), ""))
