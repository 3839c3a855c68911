"""Reference sets as they lie on disk when they have been downloaded: recordings with one caption.

`data/layouts.py` knows how the tables of each data set are read. Here one split is chosen, every
clip that the split names is looked for, and each gets one prompt: its first caption, or, in the
sets that have labels only, "a sound of …". The rule is part of the result.
"""

from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from latentfoley.data.folder import list_recordings
from latentfoley.data.layouts import LAYOUTS, find
from latentfoley.data.metadata import Metadata
from latentfoley.data.metadata_index import choose_layout
from latentfoley.errors import InputError, nearest
from latentfoley.evaluation.sets.choose import as_set
from latentfoley.evaluation.sets.clips import Clip, ClipSet, require_set
from latentfoley.places import Place, Where

LABELS_FILE = "class_labels_indices.csv"
_FOLDS = ("1", "2", "3", "4", "5")


class DataSet(NamedTuple):
    """How the splits of a data set are told apart.

    Attributes:
        split: the one that is used unless another is asked for.
        split_of_table: the split a table is of; "" for a table of all of them.
        more: splits that are not tables of their own.
    """

    split: str
    split_of_table: Callable[[Path], str]
    more: tuple[str, ...] = ()


DATASETS = {
    "audiocaps": DataSet("test", lambda table: table.stem),
    "clotho": DataSet("evaluation", lambda table: table.stem.rpartition("_")[2]),
    "audioset": DataSet(
        "eval",
        lambda table: "" if table.name == LABELS_FILE else table.stem.removesuffix("_segments"),
    ),
    "esc50": DataSet("all", lambda table: "", ("all", *_FOLDS)),
}


def reference_set(path: Where, dataset: str | None, split: str | None) -> ClipSet:
    """Return the reference sounds: a split of a data set, or a folder, manifest or place.

    Raises:
        InputError: as `read_dataset` and `as_set`, or a split of no data set.
    """
    if dataset is not None:
        folder = Place.of(path).folder
        if folder is None:
            raise InputError(
                f"--dataset reads the tables of a folder of this machine, and '{path}' is none; "
                "`latentfoley data prepare` it first, which keeps its captions and splits"
            )
        return read_dataset(folder, dataset, split)
    if split is not None:
        raise InputError(f"--split {split} is of a data set; name it with --dataset")
    return as_set(path)


def read_dataset(folder: Path, name: str, split: str | None = None) -> ClipSet:
    """Return one split of a data set: its recordings that are there, each with one prompt.

    Args:
        folder: where the tables and, somewhere below, the recordings lie.
        name: of the data set.
        split: as the data set calls it (for ESC-50 the number of a fold, or "all"); None takes the
            one that results are usually reported on.

    Raises:
        InputError: an unknown name or split, another layout, or fewer than two recordings.
    """
    if name not in DATASETS:
        raise InputError(f"there is no data set '{name}'; {nearest(name, DATASETS)}")
    if not folder.is_dir():
        raise InputError(f"a data set is a folder, and there is no folder '{folder}'")
    choose_layout(folder, name)
    chosen = DATASETS[name].split if split is None else split
    tables = _tables(folder, name, chosen)
    named, identities = _read(folder, name, chosen, tables)
    found, n_copies = _find(folder, name, identities)
    clips = [
        Clip(
            PurePosixPath(path).with_suffix("").as_posix(),
            folder / path,
            _prompt(named[who]),
            next(iter(named[who].labels), ""),
        )
        for who, path in found.items()
    ]
    if not clips:
        raise InputError(
            f"the split '{chosen}' of {name} in '{folder}' names {len(named)} recordings, and none "
            "of them is there; they are looked for in the folder and all below it"
        )
    clips.sort(key=lambda clip: clip.key)
    require_set(folder, clips)
    about = {
        "data set": name,
        "split": chosen,
        "clips": f"{len(clips)} of {len(named)} that the split names",
        "prompts": _rule(named),
    }
    return ClipSet(folder, tuple(clips), about, _warnings(about, len(named), len(clips), n_copies))


def _tables(folder: Path, name: str, split: str) -> list[Path]:
    """Return the tables of a split, and those of all."""
    tables, of = find(folder, LAYOUTS[name]), DATASETS[name].split_of_table
    splits = (*sorted({of(table) for table in tables} - {""}), *DATASETS[name].more)
    if split not in splits:
        raise InputError(f"'{folder}' has no split '{split}' of {name}; {nearest(split, splits)}")
    if name == "audioset" and not any(table.name == LABELS_FILE for table in tables):
        raise InputError(f"the labels of AudioSet have no names without {LABELS_FILE}")
    return [table for table in tables if of(table) in (split, "")]


def _read(
    folder: Path, name: str, split: str, tables: list[Path]
) -> tuple[dict[str, Metadata], dict[str, str]]:
    """Return what is known about every recording of a split, and which recording a key means."""

    def fault(where: str, reason: str) -> None:
        raise InputError(f"{where}: {reason}")

    named: dict[str, Metadata] = {}
    identities: dict[str, str] = {}
    for key, metadata in LAYOUTS[name].read(folder, tables, fault):
        if not key or (split in _FOLDS and not key.startswith(f"{split}-")):
            continue  # a file of ESC-50 begins with its fold
        # A recording of AudioCaps has a row, with a number of its own, for each of its captions.
        who = metadata.source_url if name == "audiocaps" else key
        identities[key] = who
        named[who] = named[who].joined(metadata) if who in named else metadata
    return named, identities


def _find(folder: Path, name: str, identities: dict[str, str]) -> tuple[dict[str, str], int]:
    """Return the file of each recording that is there, and how many more files are copies."""
    found: dict[str, str] = {}
    n_copies = 0
    for file in list_recordings(folder):
        path = PurePosixPath(file.relative_to(folder).as_posix())
        keys = (key for key in LAYOUTS[name].keys(path) if key in identities)
        who = identities.get(next(keys, ""))
        if who is not None:
            n_copies += who in found
            found.setdefault(who, str(path))
    return found, n_copies


def _prompt(metadata: Metadata) -> str:
    if metadata.captions:
        return metadata.captions[0]
    return f"a sound of {' and '.join(label.lower() for label in metadata.labels)}"


def _rule(named: dict[str, Metadata]) -> str:
    if any(metadata.captions for metadata in named.values()):
        return "the first caption of each clip, in the order of the tables"
    return '"a sound of LABEL and LABEL", all labels of the clip in lower case'


def _warnings(about: dict[str, str], n_named: int, n_found: int, n_copies: int) -> tuple[str, ...]:
    what: Sequence[str] = (about["data set"], about["split"])
    warnings = []
    if n_found < n_named:
        warnings.append(
            f"{n_named - n_found} of the {n_named} recordings that {' '.join(what)} names are not "
            f"there: these are scores of the other {n_found}"
        )
    if n_copies:
        warnings.append(f"{n_copies} files are further copies of a clip and are left out")
    return tuple(warnings)
