"""What is known about a recording besides its sound: rows of tables, and lines of a manifest.

All of it is optional. The diffusion model, the VAE and the vocoder read none of it: it is kept for
CLAP, which is where words meet sounds, for attribution, and to hold some recordings out.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, TypeVar

from latentfoley.config import Config
from latentfoley.errors import RecipeError, nearest_files

# Under which names the tables of this field keep each kind of metadata, most telling first.
_COLUMNS = {
    "path": ("path", "file_name", "filename", "file", "fname", "audio_path", "audio", "wav"),
    "captions": ("captions", "caption", "text", "prompt", "sentence", "description"),
    "labels": ("labels", "label", "class", "category", "tags", "keywords"),
    "title": ("title", "source_title", "name"),
    "author": ("author", "source_author", "uploader", "artist", "manufacturer"),
    "source_url": ("source_url", "url", "sound_link", "link"),
    "licence": ("licence", "license"),
    "split": ("split", "subset"),
}
_PLURAL = ("labels", "tags", "keywords")  # one cell holds several, between commas
_MOST_CHARACTERS = 2000  # of a caption; what `generate` takes

Row = dict[str, Any]


class Metadata(Config):
    """What is known about one recording. `split` is None where nobody has decided."""

    split: Literal["train", "valid"] | None = None
    captions: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    title: str = ""
    author: str = ""
    source_url: str = ""
    licence: str = ""

    def joined(self, other: "Metadata") -> "Metadata":
        """Return both: texts one after the other, and for the rest what stands here first."""
        mine, theirs = self.model_dump(), other.model_dump()
        both = {name: mine[name] or theirs[name] for name in mine}
        for name in ("captions", "labels"):
            both[name] = tuple(dict.fromkeys(mine[name] + theirs[name]))
        return Metadata(**both)


def path_of(row: Row) -> str:
    """Return the file that a row of a table is about, "" where it names none."""
    path = cell_of(row, "path")
    return _whole(path).strip() if isinstance(path, str | int) else ""


def metadata_of(row: Row) -> Metadata:
    """Read a row of any table: columns by the names that are common in this field."""
    captions = [*_texts(cell_of(row, "captions")), *map(_text, numbered_captions(row))]
    return Metadata(
        split=split_of(_text(cell_of(row, "split"))),
        captions=tuple(dict.fromkeys(text[:_MOST_CHARACTERS] for text in captions if text)),
        labels=tuple(labels_of(row)),
        **{
            name: _text(cell_of(row, name)) for name in ("title", "author", "source_url", "licence")
        },
    )


def split_of(name: str) -> Literal["train", "valid"] | None:
    """Return what a data set's own name of a split means: all that is not training is held out.

    Example:
        >>> split_of("development"), split_of("test"), split_of("")
        ('train', 'valid', None)
    """
    if not name:
        return None
    known = ("train", "training", "dev", "development", "balanced_train", "unbalanced_train")
    return "train" if name.lower() in known else "valid"


def cell_of(row: Row, kind: str) -> Any:
    """Return the cell of a row that holds one kind of metadata, "" where it has none."""
    names = {str(name).strip().lower(): name for name in row}
    found = (row[names[name]] for name in _COLUMNS[kind] if name in names)
    return next((value for value in found if value), "")


def numbered_captions(row: Row) -> Iterator[Any]:
    """Yield the cells caption_1, caption_2 … of a row, which Clotho's tables have."""
    return (row[name] for name in row if str(name).startswith("caption_"))


def labels_of(row: Row) -> list[str]:
    """Return the labels of a row; a column called by a plural holds several, between commas."""
    value = cell_of(row, "labels")
    plural = any(str(name).lower() in _PLURAL and row[name] is value for name in row)
    if isinstance(value, str) and plural:
        value = value.replace(";", ",").split(",")
    return _texts(value)


def _texts(value: Any) -> list[str]:
    values = value if isinstance(value, list | tuple) else [value]
    return [text for text in map(_text, values) if text]


def _text(value: Any) -> str:
    """Return a cell as one line; what is no text or number says nothing."""
    return " ".join(_whole(value).split()) if isinstance(value, str | int | float) else ""


def _whole(value: str | float) -> str:
    """Return a text in which the half characters that JSON can hold are replaced."""
    return str(value).encode("utf-8", "replace").decode("utf-8")


class Entry(Config):
    """A line of a manifest. `path` is relative to the data folder the trainer is given."""

    path: str
    split: Literal["train", "valid"] = "train"
    captions: tuple[str, ...] = ()
    # Clips that share a label are not told apart by CLAP's contrastive loss.
    labels: tuple[str, ...] = ()
    title: str = ""
    author: str = ""
    source_url: str = ""
    licence: str = ""


E = TypeVar("E", bound=Entry)


def read_manifest(path: Path) -> list[Entry]:
    """Return every entry of a JSONL manifest; as `read_entries`."""
    return read_entries(path, Entry)


def read_entries(path: Path, kind: type[E]) -> list[E]:
    """Return every entry of a JSONL manifest whose lines have the fields of `kind`.

    Raises:
        RecipeError: the file is missing, empty, or a line is not a valid entry (with its number).
    """
    if not path.is_file():
        raise RecipeError(f"there is no manifest at {path}.{nearest_files(path)}")
    try:
        # Only a line feed ends a line: a caption may hold the other separators of Unicode.
        lines = path.read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path} is not UTF-8 ({error})") from None
    entries = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            entries.append(kind.parse(_object(line, path, number), where=f"{path}:{number}"))
    if not entries:
        raise RecipeError(f"the manifest {path} lists no recordings")
    return entries


def write_manifest(path: Path, entries: list[Entry]) -> None:
    """Write entries as JSONL, leaving out what is empty."""
    lines = [json.dumps(entry.model_dump(exclude_defaults=True)) for entry in entries]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _object(line: str, path: Path, number: int) -> dict[str, object]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        said = getattr(error, "msg", error)
        raise RecipeError(f"{path}:{number}: not JSON ({said})") from None
    if not isinstance(value, dict):
        raise RecipeError(f"{path}:{number}: expected a JSON object, got {type(value).__name__}")
    return value
