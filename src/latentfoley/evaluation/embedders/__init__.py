"""Sound → features: one protocol, three embedders built in, more by entry points.

A package adds its own under the entry-point group `latentfoley.embedders`: a function that takes
the path after "=" (None without one) and returns an `Embedder`.
"""

from collections.abc import Callable
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, cast

from latentfoley.errors import InputError, nearest
from latentfoley.evaluation.embedders.embedder import (
    Embedder,
    Features,
    TextEmbedder,
    class_names,
)

__all__ = [
    "Embedder",
    "Features",
    "TextEmbedder",
    "class_names",
    "find_embedder",
    "require_embedder",
]

GROUP = "latentfoley.embedders"


Factory = Callable[[Any], Embedder]
"""Takes the path after "=", None without one."""


def find_embedder(spec: str) -> Embedder:
    """Return the embedder that "NAME" or "NAME=PATH" stands for.

    NAME may also be "module:function", a factory that is imported as Python would.

    Built in: `clap` (PATH is a model folder; the embedded `tiny` without one), `cnn14-16k`,
    `cnn14-32k` and `vggish` (PATH is the published weight file; without one, the downloaded one).

    Raises:
        InputError: no embedder of that name, or one that needs a path and got none.
        ModelError: the path does not hold its weights.
    """
    factory, path = require_embedder(spec)
    return factory(path)


def require_embedder(spec: str) -> tuple[Factory, Path | None]:
    """Return what makes an embedder and from which path, without making it.

    Raises:
        InputError: as `find_embedder`.
    """
    from latentfoley.evaluation.embedders import published

    name, _, path = spec.partition("=")
    if ":" in name:
        return _imported(name), Path(path).expanduser() if path else None
    factories = _factories()
    if name not in factories:
        raise InputError(f"there is no embedder '{name}'; {nearest(name, factories)}")
    return factories[name], published.find(name, path)


def _imported(name: str) -> Factory:
    module, _, function = name.partition(":")
    try:
        found = getattr(import_module(module), function, None)
    except ImportError as error:
        raise InputError(f"the embedder's module '{module}' cannot be imported: {error}") from None
    if found is None:
        raise InputError(f"there is no '{function}' in {module}")
    return cast(Factory, found)


def _factories() -> dict[str, Factory]:
    from latentfoley.evaluation.embedders import clap, cnn14, vggish

    found: dict[str, Factory] = {
        "clap": clap.load,
        "cnn14-16k": cnn14.load_16k,
        "cnn14-32k": cnn14.load_32k,
        "vggish": vggish.load,
    }
    for point in entry_points(group=GROUP):
        if point.name not in found:  # a package cannot replace what the tables here mean
            found[point.name] = _late(point)
    return found


def _late(point: EntryPoint) -> Factory:
    """Return a factory that imports the package only when it is asked for."""
    return lambda path: cast(Factory, point.load())(path)
