"""What is in a folder of recordings, before anything is made of it.

Every recording is decoded from end to end, because a header can say anything. Nothing in a folder
stops a scan, and nothing that is wrong with it goes unsaid. What is kept in memory does not grow
with the number of sound recordings: only counts do, and the list of what is wrong.
"""

import math
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import chain, islice
from pathlib import Path

from pydantic import Field

from latentfoley.config import Config
from latentfoley.data.folder import Found, find_recordings, require_folder
from latentfoley.data.measure import Measure, measure
from latentfoley.data.metadata import Metadata
from latentfoley.data.metadata_index import DiskTable, MetadataIndex, SkippedFile
from latentfoley.data.tables_of import tables_of
from latentfoley.errors import AudioFileError, InputError, RecordingWarning
from latentfoley.on_ray import map_on
from latentfoley.places import Place, Where, is_of_file
from latentfoley.pools import require_workers
from latentfoley.progress import Progress

_FILES_PER_TASK = 16
# Bars of the histograms: thirds of an octave from 1/100 s up, and 6 dB from -96 dBFS up.
_SHORTEST_S = 0.01
_BARS_PER_OCTAVE = 3
_QUIETEST_DB, _BAR_DB = -96.0, 6.0

Counts = Counter[str]


class Scan(Config):
    """What a folder holds.

    Attributes:
        folder: as it was given.
        layout, tables, table_rows: how the tables are laid out, which they are, and how many
            recordings they name.
        n_recordings: those that decode from end to end.
        total_s, shortest_s, longest_s: durations in seconds.
        durations, levels: histograms: lower edge of a bar, in seconds or in dB of full scale (RMS),
            and the recordings from there to the next.
        sample_rates, channels, kinds: how many recordings have each.
        licences: how many recordings are under each; "" stands for none found.
        captioned, labelled: recordings with at least one.
        silent, clipped: paths.
        duplicates: pairs (path, the first with the same samples).
        remarks: recordings that were read, and what is wrong with them all the same.
        broken: what could not be read, and why; sub-folders and tables among it.
    """

    folder: str
    layout: str
    tables: tuple[str, ...] = ()
    table_rows: int = 0
    n_recordings: int = 0
    total_s: float = 0.0
    shortest_s: float = math.inf
    longest_s: float = 0.0
    durations: dict[float, int] = Field(default_factory=dict)
    levels: dict[float, int] = Field(default_factory=dict)
    sample_rates: dict[str, int] = Field(default_factory=dict)
    channels: dict[str, int] = Field(default_factory=dict)
    kinds: dict[str, int] = Field(default_factory=dict)
    licences: dict[str, int] = Field(default_factory=dict)
    captioned: int = 0
    labelled: int = 0
    silent: tuple[str, ...] = ()
    clipped: tuple[str, ...] = ()
    duplicates: tuple[tuple[str, str], ...] = ()
    remarks: tuple[SkippedFile, ...] = ()
    broken: tuple[SkippedFile, ...] = ()


def scan(
    folder: Where,
    *,
    layout: str | None = None,
    captions: Path | None = None,
    workers: int | None = None,
    ray: bool = False,
    progress: Progress = lambda done, total: None,
) -> Scan:
    """Decode every recording under a folder and say what is there.

    Args:
        folder: any folder or place; recordings are found by their suffix at any depth.
        layout: audiocaps, clotho, esc50, fsd50k, audioset, table or plain; None finds out.
        captions: a .csv, .tsv or .jsonl with a column that names files, from anywhere.
        workers: processes, 1 to 256; None is one per core.
        ray: whether they are tasks of a Ray cluster that sees the same folders; its address is
            in RAY_ADDRESS, else Ray starts here.
        progress: called with (recordings done, recordings there).

    Raises:
        InputError: no such folder, none that can be listed, one without recordings, or an option
            outside what is allowed.
    """
    n_workers = require_workers(workers)
    n_files = count_recordings(folder)
    with (
        tables_of(Place.of(folder)) as tables,
        MetadataIndex(tables, layout, captions) as index,
        DiskTable() as first_of,
    ):
        tally = _Tally(first_of)
        tasks = ((str(folder), names) for names in _chunks(find_recordings(folder)))
        for results in map_on(ray, _measure_all, tasks, n_workers):
            for path, result, remarks in results:
                tally.add(path, result, index)
                tally.remarks += [SkippedFile(path, remark) for remark in remarks]
            progress(tally.n_seen, n_files)
        return tally.scan(str(folder), index)


def count_recordings(folder: Where) -> int:
    """Return how many recordings there are to look at.

    Raises:
        InputError: no such folder, or none in it.
    """
    require_folder(folder)
    n_files = sum(1 for _ in find_recordings(folder))
    if n_files == 0:
        raise InputError(
            f"'{folder}' holds no recordings: no file in it ends in .wav, .flac, .ogg, .mp3 …"
        )
    return n_files


Measured = tuple[str, Measure | str, tuple[str, ...]]


def _measure_all(task: tuple[str, list[Found]]) -> list[Measured]:
    """Measure some recordings; where one is broken, return the reason instead."""
    folder, names = task
    return [_measure_or_reason(Place.of(folder), name) for name in names]


def _measure_or_reason(place: Place, name: Found) -> Measured:
    if name.fault:
        return name.path, name.fault, ()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", RecordingWarning)
        try:
            with place.local(name.path) as path:
                result: Measure | str = measure(path)
        except AudioFileError as error:
            result = str(error)
        except InputError as error:
            if not is_of_file(error):
                raise
            result = str(error)
    # It is opened twice, for its samples and for its kind, and both times it is said.
    remarks = dict.fromkeys(
        str(one.message) for one in caught if issubclass(one.category, RecordingWarning)
    )
    return name.path, result, tuple(remarks)


def _chunks(names: Iterator[Found]) -> Iterator[list[Found]]:
    for first in names:
        yield list(chain([first], islice(names, _FILES_PER_TASK - 1)))


class _Tally:
    """Counts what comes by."""

    def __init__(self, first_of: DiskTable) -> None:
        self.first_of = first_of
        self.n_seen = self.n_recordings = self.captioned = self.labelled = 0
        self.total_s, self.shortest_s, self.longest_s = 0.0, math.inf, 0.0
        self.durations: Counter[int] = Counter()
        self.levels: Counter[int] = Counter()
        self.sample_rates, self.channels, self.kinds = Counts(), Counts(), Counts()
        self.licences = Counts()
        self.silent: list[str] = []
        self.clipped: list[str] = []
        self.duplicates: list[tuple[str, str]] = []
        self.remarks: list[SkippedFile] = []
        self.broken: list[SkippedFile] = []

    def add(self, path: str, result: Measure | str, index: MetadataIndex) -> None:
        self.n_seen += 1
        metadata = index.find(path)
        if isinstance(result, str):
            self.broken.append(SkippedFile(path, result))
            return
        self.n_recordings += 1
        self._add_sound(path, result)
        self._add_metadata(metadata)

    def _add_sound(self, path: str, sound: Measure) -> None:
        self.total_s += sound.duration_s
        self.shortest_s = min(self.shortest_s, sound.duration_s)
        self.longest_s = max(self.longest_s, sound.duration_s)
        self.durations[_duration_bar(sound.duration_s)] += 1
        self.sample_rates[str(sound.sample_rate)] += 1
        self.channels[str(sound.channels)] += 1
        self.kinds[sound.kind] += 1
        if sound.silent:
            self.silent.append(path)
        else:
            self.levels[_level_bar(sound.rms)] += 1
        if sound.clipped:
            self.clipped.append(path)
        first = self.first_of.setdefault(sound.digest, path)
        if first != path:
            self.duplicates.append((path, first))

    def _add_metadata(self, metadata: Metadata) -> None:
        self.captioned += bool(metadata.captions)
        self.labelled += bool(metadata.labels)
        self.licences[metadata.licence] += 1

    def scan(self, folder: str, index: MetadataIndex) -> Scan:
        return Scan(
            folder=folder,
            layout=index.layout,
            tables=tuple(index.tables),
            table_rows=index.n_rows,
            n_recordings=self.n_recordings,
            total_s=self.total_s,
            shortest_s=self.shortest_s if self.n_recordings else 0.0,
            longest_s=self.longest_s,
            durations=_histogram(self.durations, _shortest_of),
            levels=_histogram(self.levels, lambda bar: _QUIETEST_DB + bar * _BAR_DB),
            sample_rates=dict(self.sample_rates.most_common()),
            channels=dict(self.channels.most_common()),
            kinds=dict(self.kinds.most_common()),
            licences=dict(self.licences.most_common()),
            captioned=self.captioned,
            labelled=self.labelled,
            silent=tuple(self.silent),
            clipped=tuple(self.clipped),
            duplicates=tuple(self.duplicates),
            remarks=tuple(self.remarks),
            broken=(*self.broken, *index.skipped, *index.unmatched()),
        )


def _duration_bar(duration_s: float) -> int:
    return math.floor(_BARS_PER_OCTAVE * math.log2(max(duration_s, _SHORTEST_S) / _SHORTEST_S))


def _level_bar(rms: float) -> int:
    level_db = 20 * math.log10(max(rms, 1e-9))
    return math.floor((max(level_db, _QUIETEST_DB) - _QUIETEST_DB) / _BAR_DB)


def _shortest_of(bar: int) -> float:
    """Return the lower edge of a bar, in seconds, to three digits."""
    return float(f"{_SHORTEST_S * 2 ** (bar / _BARS_PER_OCTAVE):.3g}")


def _histogram(bars: Counter[int], edge: Callable[[int], float]) -> dict[float, int]:
    """Return counts by lower edge, empty bars between others included."""
    every = range(min(bars, default=0), max(bars, default=-1) + 1)
    return {edge(bar): bars[bar] for bar in every}
