"""How the data sets of this field lie on disk when they have been downloaded.

A layout says by which files it is known, what their rows say, and under which names a recording may
stand there. The formats are those of the data sets' own documentation:

    audiocaps   github.com/cdjkim/audiocaps: train.csv, val.csv, test.csv; clips by YouTube id
    clotho      zenodo.org/records/4783391: clotho_captions_*.csv, clotho_metadata_*.csv
    esc50       github.com/karolpiczak/ESC-50: meta/esc50.csv
    fsd50k      zenodo.org/records/4060432: FSD50K.ground_truth/, FSD50K.metadata/
    audioset    research.google.com/audioset: *_segments.csv, class_labels_indices.csv

AudioCaps and AudioSet distribute no sound. Downloaders call a clip by its YouTube id, with or
without a "Y" before and the start time behind it; AudioCaps' also by the number of its caption.
"""

from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from latentfoley.data.metadata import Metadata, Row, metadata_of, path_of, split_of
from latentfoley.data.tables import SUFFIXES, Report, read_object, read_rows

_YOUTUBE_ID = 11  # characters
# Tables that our own commands write, by the file beside which they lie: a data set or a run may be
# in the folder that it is made of.
_OWN = {"manifest.jsonl": "dataset.json", "skipped.jsonl": "dataset.json", "log.jsonl": "run.json"}

Keyed = Iterator[tuple[str, Metadata]]


class Layout(NamedTuple):
    """One way to lie on disk.

    Attributes:
        files: patterns of the files it is known by, in the folder or one level below.
        read: yields (key, metadata) from those files, given the folder they were found in.
        keys: the keys under which a recording may stand, by its path, the surest first.
    """

    files: tuple[str, ...]
    read: Callable[[Path, list[Path], Report], Keyed]
    keys: Callable[[PurePosixPath], list[str]]


def find(folder: Path, layout: Layout) -> list[Path]:
    """Return the files that a layout is known by, none where the folder is laid out otherwise."""
    found = {path for pattern in layout.files for path in folder.glob(pattern)}
    found |= {path for pattern in layout.files for path in folder.glob(f"*/{pattern}")}
    tables = (path for path in found if path.is_file() and not _is_own(path))
    return sorted(path for path in tables if _has_header(path, layout))


def _is_own(path: Path) -> bool:
    return path.name in _OWN and path.with_name(_OWN[path.name]).is_file()


def _has_header(path: Path, layout: Layout) -> bool:
    """AudioCaps' tables have names that any table may have; only their columns tell."""
    if layout is not LAYOUTS["audiocaps"]:
        return True
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            columns = file.readline(1000).strip().split(",")
    except OSError:  # then it is a table like any other, and reported as one
        return False
    return {"youtube_id", "caption"} <= set(columns)


def _audiocaps(root: Path, files: list[Path], report: Report) -> Keyed:
    for file in files:
        for row in read_rows(file, report):
            metadata = _with(row, split=file.stem, source_url=_youtube(row.get("youtube_id")))
            for name in ("youtube_id", "audiocap_id"):
                yield str(row.get(name) or ""), metadata


def _clotho(root: Path, files: list[Path], report: Report) -> Keyed:
    for file in files:
        split = file.stem.rpartition("_")[2]
        for row in read_rows(file, report):
            known = {name: value for name, value in row.items() if value != "Not found"}
            yield f"{split}/{PurePosixPath(path_of(row)).stem}", _with(known, split=split)


def _esc50(root: Path, files: list[Path], report: Report) -> Keyed:
    for file in files:
        for row in read_rows(file, report):
            # Clips of one source recording share `src_file`, a number at Freesound.
            source = f"https://freesound.org/s/{row.get('src_file')}/"
            row["category"] = str(row.get("category") or "").replace("_", " ")
            yield PurePosixPath(path_of(row)).stem, _with(row, source_url=source)


def _fsd50k(root: Path, files: list[Path], report: Report) -> Keyed:
    for file in files:
        if file.suffix == ".json":
            for key, row in read_object(file, report).items():
                about = {"title", "uploader", "license"} & set(row)
                yield key, _with({name: row[name] for name in about}, split="")
        else:
            for row in read_rows(file, report):
                row["labels"] = str(row.get("labels") or "").replace("_", " ")
                split = "valid" if file.stem == "eval" else str(row.get("split") or "train")
                yield path_of(row), _with(row, split=split)


def _audioset(root: Path, files: list[Path], report: Report) -> Keyed:
    names: dict[str, str] = {}
    for file in files:
        if file.name == "class_labels_indices.csv":
            names |= {row["mid"]: row["display_name"] for row in read_rows(file, report)}
    for file in files:
        if file.name.endswith("_segments.csv"):
            split = file.stem.removesuffix("_segments")
            for row in read_rows(file, report):
                mids = str(row.get("positive_labels") or "").split(",")
                about = {"labels": [names.get(mid, mid) for mid in mids]}
                url = _youtube(row.get("YTID"))
                yield str(row.get("YTID") or ""), _with(about, split=split, source_url=url)


def _table(root: Path, files: list[Path], report: Report) -> Keyed:
    for file in files:
        here = PurePosixPath(file.parent.relative_to(root).as_posix())
        n_named = n_rows = 0
        for n_rows, row in enumerate(read_rows(file, report), start=1):  # noqa: B007
            path = path_of(row)
            if path:
                n_named += 1
                yield str(here / path.replace("\\", "/")), metadata_of(row)
        if n_named < n_rows:
            report(file.name, f"{n_rows - n_named} of {n_rows} rows name no file")


def _with(row: Row, *, split: str = "", source_url: str = "") -> Metadata:
    """Return the metadata of a row; what the layout knows stands before what the row says."""
    known = Metadata(split=split_of(split), source_url=source_url)
    return known.joined(metadata_of({name: row[name] for name in row if name != "split"}))


def _youtube(name: object) -> str:
    return f"https://www.youtube.com/watch?v={name}" if name else ""


def _by_stem(path: PurePosixPath) -> list[str]:
    return [path.stem]


def _by_path(path: PurePosixPath) -> list[str]:
    """A table may name a file by its path from there on or its name alone, without suffix too."""
    beside = [str(part / name) for part in path.parents for name in (path.name, path.stem)]
    return [str(path), str(path.with_suffix("")), *beside]


def _by_youtube_id(path: PurePosixPath) -> list[str]:
    stem = path.stem
    return [stem, stem[:_YOUTUBE_ID], *([stem[1 : 1 + _YOUTUBE_ID]] if stem[0] == "Y" else [])]


def _by_split(path: PurePosixPath) -> list[str]:
    return [f"{part}/{path.stem}" for part in reversed(path.parts[:-1])]


_SEGMENTS = ("*_segments.csv", "class_labels_indices.csv")
_FSD50K = ("FSD50K.ground_truth/dev.csv", "FSD50K.ground_truth/eval.csv")
LAYOUTS = {
    "audiocaps": Layout(("train.csv", "val.csv", "test.csv"), _audiocaps, _by_youtube_id),
    "clotho": Layout(("clotho_captions_*.csv", "clotho_metadata_*.csv"), _clotho, _by_split),
    "esc50": Layout(("meta/esc50.csv",), _esc50, _by_stem),
    "fsd50k": Layout((*_FSD50K, "FSD50K.metadata/*_clips_info_FSD50K.json"), _fsd50k, _by_stem),
    "audioset": Layout(_SEGMENTS, _audioset, _by_youtube_id),
    "table": Layout(tuple(f"*{suffix}" for suffix in SUFFIXES), _table, _by_path),
}
