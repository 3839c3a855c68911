"""Lists, files and clips → prompts: what a model is asked for, and what its clips are called."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path, PurePosixPath

from latentfoley.data.folder import is_sound
from latentfoley.data.prompts import read_prompts
from latentfoley.errors import InputError, RecipeError, nearest_files
from latentfoley.evaluation.sets.clips import ClipSet, folder_of, in_turn
from latentfoley.request import GenerationRequest

_INDICES = 2**30


@dataclass(frozen=True)
class Prompt:
    """One text.

    Attributes:
        text: the prompt.
        key: what its clip is called, a path without suffix; "" where it has no name.
        label: the class that it should be recognised as, "" where there is none.
    """

    text: str
    key: str = ""
    label: str = ""

    @property
    def kind(self) -> str:
        """Its label, else the folder of its clip."""
        return self.label or folder_of(self.key)

    def index(self, k: int) -> int:
        """Return the number that the noise of clip k of this prompt comes from.

        It depends on the text alone, so that a longer list of prompts keeps its clips.
        """
        return int.from_bytes(sha256(self.text.encode()).digest()[:4]) % _INDICES + k


def read_named_prompts(path: Path) -> list[Prompt]:
    """Return the prompts of a file, each with the name of its clip.

    A clip is called by the file that its row names, so that it is a pair with the reference of that
    name, else by its number. Of several rows for a file the first counts.

    Raises:
        InputError: as `data.prompts.read_prompts`, or a name that leads out of the folder.
    """
    prompts: dict[str, Prompt] = {}
    for number, row in enumerate(read_prompts(path)):
        key = _key(row.path, row.where) or f"{number:05d}"
        prompts.setdefault(key, Prompt(row.text, key, row.label))
    return list(prompts.values())


def wanted_prompts(captions: Path | None, reference: ClipSet) -> list[Prompt]:
    """Return what a model is asked for: the prompts of a file, else the captions of the reference.

    Raises:
        InputError: as `read_named_prompts`, or a clip of the reference has no caption.
    """
    if captions is not None:
        return read_named_prompts(captions)
    for clip in reference.clips:
        if not clip.caption:
            raise InputError(
                f"a model needs captions, and '{clip.key}' of '{reference.source}' has none: give "
                "--captions FILE, --dataset NAME, or a manifest with captions"
            )
    return [Prompt(clip.caption, clip.key, clip.label) for clip in reference.clips]


def read_labelled_prompts(source: Path | Sequence[str], limit: int | None) -> list[Prompt]:
    """Return the prompts of a list or a file; a text that comes again counts once.

    Args:
        source: texts; a .toml of lists of texts, each under its label; or a file of prompts (.txt,
            .csv, .tsv, .jsonl), whose rows may have labels.
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
    return in_turn(prompts.values(), lambda prompt: prompt.label)[:limit]


def _read(path: Path) -> list[Prompt]:
    if path.suffix == ".toml":
        return _read_lists(path)
    return [Prompt(row.text, label=row.label) for row in read_prompts(path)]


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
    return [Prompt(text, label=label) for label, texts in lists.items() for text in texts]


def _key(name: str, where: str) -> str:
    """Return the name of a clip; files are written by it, so it stays below its folder.

    Raises:
        InputError: it leads out of the folder.
    """
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts:
        raise InputError(f"{where}: '{name}' leads out of the folder that clips are kept in")
    return str(path.with_suffix("") if is_sound(path.name) else path) if name else ""
