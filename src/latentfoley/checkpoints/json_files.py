"""The JSON files of a model folder: read and written, with errors that name the file."""

import json
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from latentfoley.config import Config
from latentfoley.errors import ModelError, RecipeError

Json = dict[str, Any]
C = TypeVar("C", bound=Config)


def read_json(path: Path) -> Json:
    """Read a JSON object.

    Raises:
        ModelError: the file is missing or is not a JSON object.
    """
    if not path.is_file():
        raise ModelError(f"{path} is missing: {path.parent} is not a complete model folder")
    try:
        values: Json = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path} is not valid JSON ({error})") from None
    if not isinstance(values, dict):
        raise ModelError(f"{path} is not a JSON object but a {type(values).__name__}")
    return _Values(values, path)


class _Values(Json):
    """What a JSON file holds; a key that is not there is an error that names the file."""

    def __init__(self, values: Json, path: Path) -> None:
        super().__init__(values)
        self.path = path

    def __missing__(self, key: str) -> NoReturn:
        raise ModelError(f"{self.path} has no '{key}'")


def parse(kind: type[C], values: Json, where: Path) -> C:
    """Build a config from what a model folder says."""
    try:
        return kind.parse(values, where=str(where))
    except RecipeError as error:
        raise ModelError(str(error)) from None


def write_json(path: Path, values: Json) -> None:
    """Write a JSON object, keys in the order given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
