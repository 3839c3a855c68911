"""What the embedders of an ablation can and cannot tell; one of them may be a judge.

A judge names sounds: it is an embedder with logits and with `class_names`, in their order. The
labels of the prompts are such names.
"""

from collections.abc import Sequence

from latentfoley.errors import InputError, nearest
from latentfoley.evaluation.ablation.prompts import Prompt
from latentfoley.evaluation.embedders import Embedder


def class_names(embedder: Embedder) -> tuple[str, ...]:
    """Return what the logits of a judge stand for; () for an embedder that is none."""
    return tuple(getattr(embedder, "class_names", ()))


def require_ears(names: Sequence[str], ears: Sequence[Embedder], prompts: Sequence[Prompt]) -> None:
    """Check, before anything is made, that every metric has an embedder that can compute it.

    Raises:
        InputError: names the metric and what it needs, or a label that a judge does not know.
    """
    able = {
        "recognised": ("a judge, which has class names", [bool(class_names(ear)) for ear in ears]),
        "CLAP score": ("one that knows words", [hasattr(ear, "embed_texts") for ear in ears]),
        "IS": ("one with classes", [bool(ear.classes) for ear in ears]),
    }
    for name in names:
        what, found = able.get(name, ("", [True]))
        if not any(found):
            given = ", ".join(ear.name for ear in ears) or "none"
            raise InputError(f"'{name}' needs an embedder: {what}; given: {given}")
    for ear in ears:
        if "recognised" in names and class_names(ear):
            _require_labels(ear, prompts)


def _require_labels(judge: Embedder, prompts: Sequence[Prompt]) -> None:
    names = class_names(judge)
    for prompt in prompts:
        if prompt.label not in names:
            given = f"the label '{prompt.label}'" if prompt.label else "no label"
            raise InputError(
                f"{judge.name} cannot judge '{prompt.text}': it has {given}; "
                f"{nearest(prompt.label, names)}"
            )
