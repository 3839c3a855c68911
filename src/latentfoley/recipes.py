"""A recipe: a TOML file that says everything about a training run or an ablation."""

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from latentfoley.config import Config
from latentfoley.errors import RecipeError, nearest, nearest_files

R = TypeVar("R", bound=Config)


OURS = Path(__file__).parent / "resources" / "recipes"


def find_recipe(path: Path) -> Path:
    """Return a recipe's file: the one that is given, else the one of that name in the package.

    Raises:
        RecipeError: there is none.
    """
    ours = OURS / f"{path}.toml"
    if path.is_file() or (path.name == str(path) and ours.is_file()):
        return path if path.is_file() else ours
    names = sorted(file.stem for file in OURS.glob("*.toml"))
    raise RecipeError(
        f"there is no recipe at {path}.{nearest_files(path)} Recipes of the package: "
        f"{nearest(str(path), names).removeprefix('allowed: ')}"
    )


def read_recipe(path: Path, kind: type[R], overrides: Sequence[str] = ()) -> R:
    """Read a TOML recipe of the given kind, by its path or name; `overrides` such as
    `run.steps=100` replace values.

    Raises:
        RecipeError: no such file, not TOML, an unknown or missing key, a value out of range.
    """
    path = find_recipe(path)
    try:
        values: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise RecipeError(f"{path} is not valid TOML: {error}") from None
    for override in overrides:
        _override(values, override)
    return kind.parse(values, where=" --set ".join([str(path), *overrides]))


def _override(values: dict[str, Any], override: str) -> None:
    """Set what `table.key=value` says; missing tables are added."""
    name, equals, text = override.partition("=")
    *tables, key = (part.strip() for part in name.split("."))
    if not equals or not all((*tables, key)):
        raise RecipeError(
            f"--set {override}: give key=value or table.key=value, as in --set run.steps=100"
        )
    for table in tables:
        values = values.setdefault(table, {})
        if not isinstance(values, dict):
            raise RecipeError(f"--set {override}: '{table}' is a value, not a table")
    values[key] = _parse(text.strip())


def _parse(text: str) -> Any:
    """Return a TOML value; anything else is a bare string, so that paths need no quotes."""
    try:
        parsed = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return parsed["value"] if len(parsed) == 1 else text
