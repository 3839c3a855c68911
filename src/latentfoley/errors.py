"""Every error this package raises on purpose.

    LatentFoleyError
    ├── UserError               the user can put it right; the command line exits with 2
    │   ├── InputError          a value outside what is allowed (also a ValueError)
    │   ├── AudioFileError      a recording that cannot be used as it is
    │   ├── ModelError          a folder, name or file that is not a usable model
    │   ├── RecipeError         a training recipe or a manifest that does not hold together
    │   └── MissingExtraError   an optional dependency is not installed
    └── TrainingError           a run that cannot continue: loss no longer finite, disk full

A message says what happened, what was given, what is allowed and, for names, the nearest match.
"""

import os
import sys
import warnings
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import Any

_LONGEST_NAME = 500  # a table may hold anything where a name should be


class LatentFoleyError(Exception):
    """Root of the tree: catch this to catch everything raised here on purpose."""


class UserError(LatentFoleyError):
    """Something the user can put right."""


class InputError(UserError, ValueError):
    """A value outside what is allowed."""


class AudioFileError(UserError):
    """A recording that cannot be read, or that does not hold what its header says."""


class ModelError(UserError):
    """A name, folder or file that is not a usable model."""


class RecipeError(UserError):
    """A recipe or manifest with a missing, unknown or contradictory entry."""


class MissingExtraError(UserError, ImportError):
    """A feature whose optional dependency is not installed."""


class TrainingError(LatentFoleyError):
    """A training run that cannot continue; its last good checkpoint is kept."""


class RecordingWarning(UserWarning):
    """A recording that is read, though something is wrong with it."""


class PromptWarning(UserWarning):
    """A prompt that is not read as a whole."""


def show_warnings_plainly() -> None:
    """From now on, print what is said of recordings and prompts as one line, without the place in
    the code."""
    show = warnings.showwarning

    def show_plainly(message: Warning | str, category: type[Warning], *where: Any) -> None:
        if issubclass(category, RecordingWarning | PromptWarning):
            sys.stderr.write(f"warning: {message}\n")
        else:
            show(message, category, *where)

    warnings.showwarning = show_plainly  # type: ignore[assignment]


def quoted(name: object) -> str:
    """Return a name as it stands in a message: printable, in quotation marks, not without end."""
    text = printable(str(name))
    return f"'{text}'" if len(text) <= _LONGEST_NAME else f"'{text[:200]} … {text[-50:]}'"


def printable(text: str) -> str:
    """Return a text with control characters and lone surrogates escaped.

    Names of files and metadata were chosen by anyone: printed raw they could write to a terminal.

    Example:
        >>> printable("a\\x1b[31mb")
        'a\\\\x1b[31mb'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def nearest(name: str, allowed: Iterable[str]) -> str:
    """Return the sentence end that helps someone who mistyped `name`.

    Example:
        >>> nearest("ddmi", ["ddim", "ddpm", "euler"])
        "allowed: ddim, ddpm, euler. Did you mean 'ddim'?"
    """
    options = [str(option) for option in allowed]
    close = get_close_matches(str(name), options, n=3, cutoff=0.5)
    # difflib does not see that two letters were swapped.
    close.sort(key=lambda option: sorted(option) != sorted(str(name)))
    hint = f" Did you mean '{close[0]}'?" if close else ""
    return f"allowed: {', '.join(options)}.{hint}"


def nearest_files(path: Path) -> str:
    """Return the sentence that helps someone who mistyped a file's name; it begins with a space.

    Where the name is right and what bears it is not, that is said instead.
    """
    if os.path.lexists(path):
        return f" What is there is {_what_is_there(path)}."
    if not path.parent.is_dir():
        return f" The folder {quoted(path.parent)} does not exist."
    # Comparing names is slow; a folder of a million clips must not stall an error message.
    names = [entry.name for entry in islice(path.parent.iterdir(), 2000)]
    close = get_close_matches(path.name, names, n=3)
    return f" Nearest there: {', '.join(map(printable, close))}." if close else ""


def _what_is_there(path: Path) -> str:
    if path.is_dir():
        return "a folder"
    if not os.path.exists(path):  # noqa: PTH110 (Path.exists raises for a link to itself)
        return "a link that leads nowhere"
    return "a file" if path.is_file() else "a device or a pipe"


class TrainingWarning(UserWarning):
    """Something about a training run that the user should know, and that does not stop it."""


_MISTAKES = {
    "missing": "is missing",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a whole number of fewer digits",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "string_type": "must be a text",
    "string_unicode": "holds a lone surrogate, which is no character",
    "path_type": "must be the name of a file",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "too_short": "must have at least {min_length} entries",
    "too_long": "must have at most {max_length} entries",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be more than {gt}",
    "less_than_equal": "must be at most {le}",
    "less_than": "must be less than {lt}",
    "literal_error": "must be one of {expected}",
    "enum": "must be one of {expected}",
    "dict_type": "must be an object with names and values",
    "model_type": "must be an object with names and values",
    "model_attributes_type": "must be an object with names and values",
    "json_invalid": "is not valid JSON",
}


def what_is_wrong(mistake: Mapping[str, Any]) -> str:
    """Return the end of a sentence for one of the errors that pydantic lists."""
    kind, context = mistake["type"], mistake.get("ctx", {})
    if kind in ("value_error", "assertion_error"):
        return str(mistake["msg"]).partition(", ")[2]
    return _MISTAKES.get(kind, "is not allowed").format_map(context)
