"""The embedders of an ablation, and a judge from outside: any Python file can be one.

A judge names sounds: an embedder with logits and with `class_names`, in the order of its logits.
The labels of the prompts are such names.
"""

from collections.abc import Sequence
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import cast

from latentfoley.errors import InputError, nearest, nearest_files
from latentfoley.evaluation.ablation.prompts import Prompt
from latentfoley.evaluation.embedders import Embedder, Factory, find_embedder


def find_ears(spec: str) -> Embedder:
    """Return the embedder that "NAME", "NAME=PATH" or "FILE.py=PATH" stands for.

    A Python file is run, so give only one you trust. Its function `load(path)` returns an
    embedder, `path` being what stands after the sign, or None.

    Raises:
        InputError: no such embedder or file, or a file without `load`.
    """
    name, _, path = spec.partition("=")
    if not name.endswith(".py"):
        return find_embedder(spec)
    return _factory(Path(name))(Path(path).expanduser() if path else None)


def _factory(file: Path) -> Factory:
    if not file.is_file():
        raise InputError(f"there is no file '{file}'.{nearest_files(file)}")
    spec = spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None:
        raise InputError(f"'{file}' is no Python file")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    if not hasattr(module, "load"):
        raise InputError(f"'{file}' has no function `load(path)` that returns an embedder")
    return cast(Factory, module.load)


def class_names(embedder: Embedder) -> tuple[str, ...]:
    """Return what the logits of a judge stand for; () for an embedder that is none."""
    return tuple(getattr(embedder, "class_names", ()))


def require_labels(embedder: Embedder, prompts: Sequence[Prompt]) -> None:
    """Check that a judge knows the label of every prompt.

    Raises:
        InputError: a prompt without a label, or with one that the judge has no name for.
    """
    for prompt in prompts:
        if prompt.label not in class_names(embedder):
            given = f"the label '{prompt.label}'" if prompt.label else "no label"
            raise InputError(
                f"{embedder.name} cannot judge '{prompt.text}': it has {given}; "
                f"{nearest(prompt.label, class_names(embedder))}"
            )
