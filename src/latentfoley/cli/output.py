"""Where clips are written, and what is said about them: shared by the commands that make sounds."""

import dataclasses
import json
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from latentfoley.cli.takes import Draw, take, write_takes
from latentfoley.errors import InputError, UserError, nearest, printable
from latentfoley.progress import Progress, no_bar, progress_bar

if TYPE_CHECKING:
    from latentfoley.clip import Clip
    from latentfoley.places import Where
    from latentfoley.provenance import Provenance
    from latentfoley.request import SamplingRequest

FORMATS = ("wav", "flac", "ogg", "mp3")
OTHER_FORMATS = ("aif", "aiff", "m4a", "aac", "opus", "wma")  # a file's name, not a folder's


@dataclass(frozen=True)
class Delivery:
    """What is written and said of clips beside their files.

    Attributes:
        plot: whether a picture stands beside every file.
        page: the page of all takes; None for none.
        as_json: one JSON object a line instead of text.
        quiet: only warnings and errors are said.
    """

    plot: bool = False
    page: Path | None = None
    as_json: bool = False
    quiet: bool = False

    def require_places(self, folder: Path) -> None:
        """Refuse what cannot be written before the work, not after.

        Raises:
            InputError: as `require_place` and `require_file_place`.
        """
        require_place(folder)
        if self.page is not None:
            require_file_place(self.page, ".html", ".htm")

    def bar(self) -> AbstractContextManager[Progress]:
        """Return the bar of the command."""
        return progress_bar("denoising", quiet=self.quiet or self.as_json)

    def deliver(
        self, clips: Iterable["Clip"], paths: Sequence[Path], draw: Draw, *, may_replace: bool
    ) -> Iterator[Path]:
        """Write each clip, its picture and the page, say so, and yield where it is.

        Args:
            clips: as they come.
            paths: of every clip.
            draw: writes the picture of a clip.
            may_replace: whether another sound of that name may be overwritten.
        """
        warned: set[str] = set()
        takes: list[dict[str, Any]] = []
        try:
            for clip, wanted in zip(clips, paths, strict=True):
                path = wanted if may_replace else _unused(wanted, clip.provenance)
                clip.save(path)
                if self.plot:
                    draw(clip, path.with_suffix(".png"))
                with no_bar():
                    _warn(clip, path, warned)
                    self._say(clip, path)
                if self.page is not None:
                    takes.append(take(clip, path, _in_words(clip), draw))
                yield path
        finally:
            if self.page is not None and takes:
                write_takes(self.page, takes)

    def _say(self, clip: "Clip", path: Path) -> None:
        if self.as_json:
            far = dataclasses.asdict(clip.far) if clip.far else None
            levels = dataclasses.asdict(clip.levels)
            made = {"path": str(path), "score": clip.score, "far": far, "levels": levels}
            typer.echo(json.dumps(made | clip.provenance.to_record()))
        elif not self.quiet:
            typer.echo(f"{typer.format_filename(path)}  {_in_words(clip)}")


def _warn(clip: "Clip", path: Path, warned: set[str]) -> None:
    _say_if_far(clip, warned)
    _say_if_turned_down(clip, path)
    _say_if_faint(clip, path)


def _say_if_far(clip: "Clip", warned: set[str]) -> None:
    """Say once of every text that the model does not know it."""
    if clip.far is not None and clip.far.text not in warned:
        warned.add(clip.far.text)
        typer.echo(printable(clip.far.message), err=True)


def _say_if_turned_down(clip: "Clip", path: Path) -> None:
    """Say it where the file is quieter than the clip, which keeps a source beyond full scale."""
    from latentfoley.encoding import safe_gain

    gain = safe_gain(clip.waveform)
    if gain < 1:
        said = f"turned down by {-20 * math.log10(gain):.1f} dB to fit into full scale"
        why = "; its source is louder than that" if clip.provenance.edit else ""
        typer.echo(f"{typer.format_filename(path)}: {said}{why}", err=True)


def _say_if_faint(clip: "Clip", path: Path) -> None:
    """Say it where there is nothing to hear."""
    if clip.levels.faint:
        how = "silent" if clip.levels.silent else "nearly silent"
        others = "" if clip.score is None else ", and so are all its candidates"
        faded = clip.provenance.fade_in_s + clip.provenance.fade_out_s
        hint = (
            "its fades are longer than it is" if faded > clip.duration_s else "try another --seed"
        )
        typer.echo(f"{typer.format_filename(path)}: {how}{others}; {hint}", err=True)


def _in_words(clip: "Clip") -> str:
    """Return length, loudness and what else there is to say."""
    levels, rate = clip.levels, clip.mel.sample_rate
    words = [f"{clip.duration_s:g} s", f"{levels.loudness_lufs:.1f} LUFS"]
    if levels.faint:
        words[-1] = "silent" if levels.silent else f"nearly silent ({words[-1]})"
    if clip.sample_rate != rate:
        words.append(f"resampled from {rate} to {clip.sample_rate} Hz")
    if clip.score is not None:
        words.append(f"CLAP {clip.score:.3f}")
    return "  ".join(words)


def clip_paths(
    request: "SamplingRequest", names: Sequence[str], out: Path, format_: str | None
) -> list[Path]:
    """Return the file of every clip: numbered and named after its prompt, or `out` itself.

    Args:
        request: how many clips there are, and the number of the first.
        names: what the clips of each prompt are called.
        out: a folder, or the name of a file.
        format_: of files in a folder; None is wav.

    Raises:
        InputError: an unknown format, one file's name for several clips, or two formats.
    """
    from latentfoley.encoding import require_rate
    from latentfoley.files import require_replaceable

    format_ = format_.lower().removeprefix(".") if format_ else None
    if format_ is not None and format_ not in FORMATS:
        raise InputError(f"unknown format '{format_}'; {nearest(format_, FORMATS)}")
    suffix = out.suffix[1:].lower()
    in_folder = suffix not in (*FORMATS, *OTHER_FORMATS) or out.is_dir()
    if request.sample_rate:
        require_rate(f".{format_ or 'wav'}" if in_folder else out.suffix, request.sample_rate)
    if not in_folder:
        if suffix not in FORMATS:
            raise InputError(f"'{out}' cannot be written; {nearest(suffix, FORMATS)}")
        if format_ not in (None, suffix):
            raise InputError(f"'{out}' and --format {format_} do not agree; give one of them")
        if request.n_clips > 1:
            raise InputError(f"{request.n_clips} clips do not fit in one file; give -o a folder")
        require_replaceable(out)
        return [out]
    return [
        out / f"{request.index + k:03d}-{_slug(names[k // request.n])}.{format_ or 'wav'}"
        for k in range(request.n_clips)
    ]


def _unused(path: Path, provenance: "Provenance") -> Path:
    """Return `path`, or the first of path-2, path-3 … that holds no other sound than this one."""
    return next(
        place
        for place in chain([path], (path.with_stem(f"{path.stem}-{k}") for k in count(2)))
        if not place.exists() or _holds(place, provenance)
    )


def _holds(path: Path, provenance: "Provenance") -> bool:
    from latentfoley.provenance import read_provenance

    try:
        there = read_provenance(path)
    except UserError:  # not a recording, or not one of ours: leave it alone
        return False
    return there is not None and there.same_sound(provenance)


def require_place(folder: Path) -> None:
    """Refuse what cannot be written to before the work, not after.

    Raises:
        InputError: it is, or would be in, a file or a folder without permission.
    """
    try:
        there = next(place for place in (folder, *folder.parents) if place.exists())
    except OSError as error:
        raise InputError(f"'{folder}' cannot be written to: {error.strerror}") from None
    if not there.is_dir():
        allowed = f"a folder, or one file's name that ends in {', '.join(FORMATS)}"
        raise InputError(f"'{there}' is a file; give -o {allowed}")
    if not os.access(there, os.W_OK | os.X_OK):
        raise InputError(f"'{there}' cannot be written to: no permission")


def require_file_place(file: Path, *suffixes: str) -> None:
    """Refuse a file that cannot be written before the work, not after.

    Raises:
        InputError: it has none of the suffixes, so that no recording is ever replaced by a report,
            is a folder, a device or a pipe, or lies in a place that `require_place` refuses.
    """
    from latentfoley.files import require_replaceable

    if file.is_dir():
        raise InputError(f"'{file}' is a folder; give the name of a file")
    if file.suffix.lower() not in suffixes:
        raise InputError(f"'{file}' is no name for a report; allowed: {' or '.join(suffixes)}")
    require_replaceable(file)
    require_place(file.parent)


def _slug(text: str) -> str:
    """Return a text as a short, safe part of a file name."""
    words = "".join(c if c.isalnum() else " " for c in text.lower()).split()
    return "-".join(words)[:40].strip("-") or "sound"


@contextmanager
def interruptible(paths: list[Path], out: Path) -> Iterator[list[Path]]:
    """Yield a list for the files written; at Ctrl-C say how many of `paths` there are.

    Raises:
        InputError: another process writes to `out`.
    """
    from latentfoley.files import locked

    written: list[Path] = []
    try:
        with locked(out, "output"):
            yield written
    except KeyboardInterrupt as stop:
        stop.add_note(
            f"{len(written)} of {len(paths)} files are written, each of them whole; the same "
            "command makes the same sounds again"
        )
        raise


@contextmanager
def resumable(where: "Where", what: str) -> Iterator[None]:
    """Hold a place that is written to; at Ctrl-C leave nothing half-written, and say so.

    A remote place is held for this machine alone.

    Raises:
        InputError: another process writes to it, or as `Place.of`.
    """
    from latentfoley.files import locked, remove_parts
    from latentfoley.places import Place

    place = Place.of(where)
    folder = place.folder
    with locked(folder or Path("remote", place.name.replace("://", "/")), what):
        try:
            yield
        except KeyboardInterrupt as stop:
            if folder is not None:
                remove_parts(folder)  # of workers that were killed
            stop.add_note("what is written is whole, and the same command resumes")
            raise
