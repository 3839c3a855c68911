"""The import graph: no circle, and no import from a lower layer to a higher one.

Every import counts, those inside functions and for type checkers too: a late import hides a circle
from Python and not from a reader.
"""

import ast
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import latentfoley

PACKAGE = Path(latentfoley.__file__).parent
# From the doors down to what imports nothing of ours; a name stands for all modules below it.
LAYERS = (
    ("cli", "serve", "cluster", "client"),
    ("loading",),
    ("pipeline",),
    ("editing", "circle"),
    ("clip",),
    ("model",),
    ("sampling",),
    ("request", "provenance"),
    ("samplers", "windows"),
    ("diffusion",),
    (
        "unet",
        "vae",
        "vocoder",
        "spectral_vocoder",
        "clap",
        "clap_text",
        "clap_audio",
        "griffin_lim",
    ),
    ("fast_convolutions",),
    ("winograd",),
    ("blocks", "mel"),
    ("resampling", "audio"),
    ("decoding",),
    ("containers",),
    ("notation", "errors", "version"),
)
DOORS = {"cli", "serve", "cluster", "client", "__main__"}
LABORATORY = {"training", "evaluation"}
# What the laboratory and the doors stand on: everything that is neither of them.


def module_name(path):
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def graph():
    """Return module → the modules of the package that it imports anywhere; the public API of
    `latentfoley` itself, which names modules as texts, imports none."""
    paths = {module_name(path): path for path in PACKAGE.rglob("*.py")}
    found = {}
    for module, path in paths.items():
        imported = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                whole = {f"{node.module}.{alias.name}" for alias in node.names}
                imported |= (whole & set(paths)) or {node.module}
        found[module] = (imported & set(paths)) - {module, "latentfoley"}
    return found | {"latentfoley": set()}


def part(module):
    """Return the first name below the package: `latentfoley.cli.edit` is part of `cli`."""
    return [*module.split("."), ""][1]


def rank(module):
    """Return the number of the layer that a module stands in; None where it stands beside them."""
    return next((k for k, names in enumerate(LAYERS) if part(module) in names), None)


def test_there_is_no_circle():
    try:
        tuple(TopologicalSorter(graph()).static_order())
    except CycleError as error:
        pytest.fail(" → ".join(error.args[1]))


def test_no_import_goes_up():
    upward = [
        f"{module} imports {other}"
        for module, imported in graph().items()
        for other in imported
        if None not in (rank(module), rank(other)) and rank(other) < rank(module)
    ]
    assert upward == []


def test_nothing_imports_a_door():
    through = [
        f"{module} imports {other}"
        for module, imported in graph().items()
        for other in imported
        if part(other) in DOORS and part(module) not in DOORS
    ]
    assert through == []


def test_the_core_does_not_import_the_laboratory():
    through = [
        f"{module} imports {other}"
        for module, imported in graph().items()
        for other in imported
        if part(other) in LABORATORY and part(module) not in DOORS | LABORATORY
    ]
    assert through == []


def test_training_may_ask_evaluation_and_not_the_other_way_round():
    assert not any(
        part(module) == "evaluation" and part(other) == "training"
        for module, imported in graph().items()
        for other in imported
    )


def test_every_layer_is_there():
    """A layer that was renamed would be checked no longer."""
    parts = {part(module) for module in graph()}
    assert {name for names in LAYERS for name in names} - parts <= {"serve", "client"}
