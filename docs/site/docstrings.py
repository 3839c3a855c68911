"""Reads "low, high: the edges" in a docstring as two parameters, for griffe."""

import re
from typing import Any

import griffe

_SHARED = re.compile(r"^( +)(\w+(?:, \w+)+): ", re.MULTILINE)


def split_names(docstring: str) -> str:
    """Return a docstring where each name has a line of its own; all but the last refer to it.

    Example:
        >>> split_names("    low, high: edges in Hz.")
        '    low: see `high`.\\n    high: edges in Hz.'
    """

    def apart(found: re.Match[str]) -> str:
        indent, names = found[1], found[2].split(", ")
        first = "".join(f"{indent}{name}: see `{names[-1]}`.\n" for name in names[:-1])
        return f"{first}{indent}{names[-1]}: "

    return _SHARED.sub(apart, docstring)


class SharedDescriptions(griffe.Extension):
    """Applies `split_names` to every docstring that is read."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring:
            obj.docstring.value = split_names(obj.docstring.value)
