"""What every cell is asked: texts, and the class that each should sound like where it is known."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import zip_longest
from pathlib import Path

from latentfoley.data.metadata import read_manifest
from latentfoley.errors import RecipeError, nearest_files
from latentfoley.evaluation.sets.prompts import read_captions
from latentfoley.request import GenerationRequest

_INDICES = 2**30


@dataclass(frozen=True)
class Prompt:
    """One text; `label` is the class it should be recognised as, "" where there is none."""

    text: str
    label: str = ""

    def index(self, k: int) -> int:
        """Return the number that the noise of clip k of this prompt comes from.

        It depends on the text alone, so that a longer list of prompts keeps what was made.
        """
        return int.from_bytes(sha256(self.text.encode()).digest()[:4]) % _INDICES + k


def read_prompts(source: Path | Sequence[str], limit: int | None) -> list[Prompt]:
    """Return the prompts of a list or a file; a text that comes again counts once.

    Args:
        source: texts; a .toml of lists of texts, each under its label; a .jsonl manifest; or
            captions as `latentfoley evaluate` reads them (.txt, .csv, .tsv).
        limit: so many; None is all.

    They come label by label in turn, so that any limit takes as many of each, and a higher limit
    keeps what a lower one had.

    Raises:
        RecipeError, InputError: no such file or another kind of file, a text with two labels, or
            no texts.
    """
    listed = _read(source) if isinstance(source, Path) else [Prompt(text) for text in source]
    if not listed:
        raise RecipeError("there are no prompts")
    prompts: dict[str, Prompt] = {}
    for prompt in listed:
        first = prompts.setdefault(prompt.text, prompt)
        if first != prompt:
            raise RecipeError(
                f"the prompt '{prompt.text}' has two labels: '{first.label}' and '{prompt.label}'"
            )
    GenerationRequest.build(list(prompts))
    return _in_turn(list(prompts.values()))[:limit]


def _in_turn(prompts: Sequence[Prompt]) -> list[Prompt]:
    """Return the first of every label, then the second of every label, and so on."""
    by_label: dict[str, list[Prompt]] = {}
    for prompt in prompts:
        by_label.setdefault(prompt.label, []).append(prompt)
    rounds = zip_longest(*by_label.values())
    return [prompt for some in rounds for prompt in some if prompt is not None]


def _read(path: Path) -> list[Prompt]:
    if path.suffix == ".toml":
        return _read_lists(path)
    if path.suffix != ".jsonl":
        return [Prompt(caption.text) for caption in read_captions(path)]
    return [
        Prompt(entry.captions[0], entry.labels[0] if entry.labels else "")
        for entry in read_manifest(path)
        if entry.captions
    ]


def _read_lists(path: Path) -> list[Prompt]:
    if not path.is_file():
        raise RecipeError(f"there is no file of prompts '{path}'.{nearest_files(path)}")
    try:
        lists = tomllib.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise RecipeError(f"'{path}' is not valid TOML: {error}") from None
    for label, texts in lists.items():
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise RecipeError(f"'{path}': {label} is no list of texts")
    return [Prompt(text, label) for label, texts in lists.items() for text in texts]
