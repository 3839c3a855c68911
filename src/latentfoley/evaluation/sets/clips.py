"""A folder or a manifest → the clips of a set, with captions; and which clips belong together."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise, zip_longest
from pathlib import Path, PurePosixPath
from typing import TypeVar

from latentfoley.data.folder import find_recordings, list_recordings, require_folder
from latentfoley.data.metadata import read_manifest
from latentfoley.errors import AudioFileError, InputError, nearest_files
from latentfoley.places import Place, Where
from latentfoley.provenance import read_provenance


@dataclass(frozen=True)
class Clip:
    """One file of a set.

    Attributes:
        key: its path within the set without suffix; clips of two sets with equal keys are a pair.
        path: of the file.
        caption: of the manifest, else the prompt it was generated from, else "".
        label: its kind, where a table says one.
        place: where it is, unless it is on this machine; `path` is then its name there.
    """

    key: str
    path: Path
    caption: str
    label: str = ""
    place: Place | None = None

    @contextmanager
    def local(self) -> Iterator[Path]:
        """Yield the file, or a copy of a remote one that is removed afterwards.

        Raises:
            InputError: the place refuses.
        """
        if self.place is None:
            yield self.path
            return
        with self.place.local(self.path.as_posix()) as copy:
            yield copy

    @property
    def kind(self) -> str:
        """Its label, else the folder that it lies in."""
        return self.label or folder_of(self.key)


@dataclass(frozen=True)
class ClipSet:
    """A set that is compared with another.

    Attributes:
        source: its folder, manifest or place.
        clips: sorted by key.
        about: data set, split and rule of prompts, or model and settings; empty for a folder.
        warnings: what a reader of its scores must know.
    """

    source: Path | Place
    clips: tuple[Clip, ...]
    about: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


T = TypeVar("T")


def in_turn(items: Iterable[T], kind: Callable[[T], str]) -> list[T]:
    """Return the first of every kind, then the second of every kind, and so on."""
    by_kind: dict[str, list[T]] = {}
    for item in items:
        by_kind.setdefault(kind(item), []).append(item)
    rounds = zip_longest(*by_kind.values())
    return [item for some in rounds for item in some if item is not None]


def folder_of(key: str) -> str:
    """Return the folder part of a key, "" where there is none."""
    return key.rpartition("/")[0]


def list_clips(where: Where) -> list[Clip]:
    """Return the clips of a folder (searched through) or of a JSONL manifest, sorted by key.

    Args:
        where: a folder, or a manifest whose paths are relative to its own folder, here or remote.

    Raises:
        InputError: there is no such place, it holds no or one recording, or two of the same name.
        RecipeError: a manifest that does not hold together.
        AudioFileError: files that cannot be read; all of them are named.
    """
    place = Place.of(where)
    source = place.folder
    if source is None:
        clips = _from_place(place)
    elif source.is_dir():
        clips = _from_folder(source)
    elif source.is_file():
        clips = _from_manifest(source)
    else:
        raise InputError(f"there is no folder or manifest '{source}'.{nearest_files(source)}")
    clips = sorted(clips, key=lambda clip: clip.key)
    require_set(place, clips)
    return clips


def pairs(generated: Sequence[Clip], reference: Sequence[Clip]) -> tuple[bool, str]:
    """Return whether both sets have the same keys, and if not, a sentence about it."""
    one, other = ({clip.key for clip in clips} for clips in (generated, reference))
    if one == other:
        return True, ""
    return False, (
        f"the names differ ({len(one & other)} are in both, {len(one - other)} only generated, "
        f"{len(other - one)} only reference): scores of pairs (KL, audio-audio similarity) are "
        "left out"
    )


def _from_folder(folder: Path) -> list[Clip]:
    files = list_recordings(folder)
    named = [Clip(file.relative_to(folder).with_suffix("").as_posix(), file, "") for file in files]
    return _with_prompts(folder, named)


def _from_place(place: Place) -> list[Clip]:
    name = PurePosixPath(place.name).name
    if name.endswith(".jsonl"):
        with place.parent.local(name) as manifest:
            clips = _from_manifest(manifest)
        root = manifest.parent
        return [
            replace(clip, path=clip.path.relative_to(root), place=place.parent) for clip in clips
        ]
    require_folder(place)
    paths = [Path(found.path) for found in find_recordings(place)]
    named = [Clip(path.with_suffix("").as_posix(), path, "", place=place) for path in paths]
    return _with_prompts(place, named)


def _with_prompts(source: Path | Place, clips: Sequence[Clip]) -> list[Clip]:
    """Return clips with the prompts that their own files say they were generated from."""
    known, broken = [], []
    for clip in clips:
        try:
            with clip.local() as file:
                record = read_provenance(file)
        except AudioFileError as error:
            broken.append(str(error))
            continue
        known.append(replace(clip, caption=(record.prompt or "") if record else ""))
    require_readable(source, broken)
    return known


def _from_manifest(path: Path) -> list[Clip]:
    return [
        Clip(
            Path(entry.path).with_suffix("").as_posix(),
            path.parent / entry.path,
            entry.captions[0] if entry.captions else "",
            entry.labels[0] if entry.labels else "",
        )
        for entry in read_manifest(path)
    ]


def require_readable(source: Path | Place, broken: Sequence[str]) -> None:
    """Refuse a set with files that cannot be read, naming the first ten.

    Raises:
        AudioFileError: there is one.
    """
    if broken:
        more = f"\n… and {len(broken) - 10} more" if len(broken) > 10 else ""
        raise AudioFileError(
            f"{len(broken)} of the files of '{source}' cannot be read; a score without them would "
            "be of another set:\n" + "\n".join(broken[:10]) + more
        )


def require_limit(limit: int | None) -> None:
    """Refuse a limit that leaves no set.

    Raises:
        InputError: it is below 2.
    """
    if limit is not None and limit < 2:
        raise InputError(f"a limit of {limit} clips; allowed: 2 or more")


def require_set(source: Path | Place, clips: Sequence[Clip]) -> None:
    """Refuse fewer than two clips, and two of the same name; they are sorted by it.

    Raises:
        InputError: names them.
    """
    if len(clips) < 2:
        found = "one recording" if clips else "no recordings"
        raise InputError(f"'{source}' holds {found}; a set has two or more, such as .wav or .flac")
    for one, other in pairwise(clips):
        if one.key == other.key:
            raise InputError(f"'{one.path}' and '{other.path}' have the same name: which counts?")
