"""The folder of a run: `run.json`, `log.jsonl` and `previews/`, also while it trains."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from latentfoley.checkpoints.json_files import read_json
from latentfoley.errors import RecipeError, nearest, nearest_files
from latentfoley.training import log, record
from latentfoley.training.previews import NAMES

# The loss that is diagnosed for each kind of run.
MAIN_LOSS = {"diffusion": "loss", "vae": "l1", "vocoder": "mel", "clap": "contrast"}
VALIDATION = "validation_"  # begins the names of losses on recordings that are not trained on

_NOT_LOSSES = ("step", "elapsed_s", "learning_rate", "gradient_norm", "steps_per_second")
_PREVIEW = re.compile(r"(?P<step>\d{7,})(?:-(?P<row>[a-z]+)-(?P<k>\d+))?\.(?P<kind>png|wav|json)")
# The rows of previews: a recording as it is or through the VAE, and what the model makes of it.
_RECORDINGS, _GENERATED = ("real", "encoded"), ("reconstructed", "resynthesised", "generated")


class Series(NamedTuple):
    """The logged values of one name, in the order of their steps."""

    name: str
    steps: Int64[np.ndarray, "N"]
    values: Float64[np.ndarray, "N"]

    @property
    def smoothed(self) -> Float64[np.ndarray, "N"]:
        """The moving mean over a twentieth of the points; over fewer at the ends."""
        n = len(self.values)
        total = np.concatenate([[0.0], np.cumsum(self.values)])
        first = np.maximum(np.arange(n) - n // 40, 0)
        last = np.minimum(np.arange(n) + n // 40 + 1, n)
        return np.asarray((total[last] - total[first]) / (last - first))


@dataclass
class Preview:
    """What a run wrote at one step.

    Attributes:
        step: how many steps were done.
        picture: of everything.
        recordings, generated: sounds by number; the k-th was generated from the k-th recording.
        shares: of a CLAP, by label, the held-out sounds whose caption is the nearest.
    """

    step: int
    picture: Path | None = None
    recordings: dict[int, Path] = field(default_factory=dict)
    generated: dict[int, Path] = field(default_factory=dict)
    shares: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """A run as it was read.

    Attributes:
        folder: of the run.
        kind: a key of `MAIN_LOSS`.
        metadata: `run.json`.
        records: of `log.jsonl`, one per logged step, in order; of a step that a resumed run logged
            again, the last.
        seconds: of training, in all sessions.
        previews: in the order of their steps.
        names: of the recordings that previews begin with, by their number.
    """

    folder: Path
    kind: str
    metadata: dict[str, Any]
    records: list[dict[str, float]]
    seconds: float
    previews: list[Preview]
    names: dict[int, str] = field(default_factory=dict)

    @property
    def recipe(self) -> dict[str, Any]:
        """The settings of the run."""
        return dict(self.metadata.get("recipe") or {})

    @property
    def losses(self) -> list[str]:
        """The names of all losses, in the order in which they were first logged."""
        names = dict.fromkeys(name for one in self.records for name in one)
        return [name for name in names if name not in _NOT_LOSSES]

    def series(self, name: str) -> Series:
        """Return the values of one name; none where it was never logged."""
        found = [(one["step"], one[name]) for one in self.records if name in one]
        steps, values = zip(*found, strict=True) if found else ((), ())
        return Series(name, np.array(steps, dtype=np.int64), np.array(values, dtype=np.float64))


def read_run(folder: Path) -> Run:
    """Read the folder of a run.

    Raises:
        RecipeError: there is no such folder, it holds no log or no run.json, one of them is
            damaged, or the run is of a kind that this version does not know.
    """
    if not folder.is_dir():
        raise RecipeError(f"there is no run at '{folder}'.{nearest_files(folder)}")
    records, seconds = _read_log(folder / log.FILE)
    path = folder / record.FILE
    if not path.is_file():
        raise RecipeError(f"there is no {record.FILE} in '{folder}': it is not the folder of a run")
    metadata = read_json(path)
    kind = str(metadata.get("kind"))
    if kind not in MAIN_LOSS:
        raise RecipeError(f"'{folder}' is a run of kind '{kind}'; {nearest(kind, MAIN_LOSS)}")
    previews, names = folder / "previews", folder / "previews" / NAMES
    called = read_json(names).items() if names.is_file() else ()
    return Run(
        *(folder, kind, metadata, records, seconds, _list_previews(previews)),
        names={int(k): str(name) for k, name in called},
    )


def _read_log(path: Path) -> tuple[list[dict[str, float]], float]:
    """Return the records by step, and the seconds of all sessions."""
    if not path.is_file():
        raise RecipeError(
            f"there is no log at '{path}': is '{path.parent}' the folder of a run (run.folder of "
            "its recipe), and has it made a first step?"
        )
    # What follows the last line break is being written, or was when the run was killed.
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]
    records: dict[float, dict[str, float]] = {}
    seconds, session_s = 0.0, 0.0
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        one = _parse(line)
        if one is None:
            raise RecipeError(f"{path}:{number} is not a record of a step: {line[:80]}")
        if one.get("elapsed_s", 0.0) < session_s:  # the clock starts again with every session
            seconds += session_s
        session_s = one.get("elapsed_s", 0.0)
        records[one["step"]] = one
    if not records:
        raise RecipeError(f"{path} holds no step yet; let the run log one first")
    return [records[step] for step in sorted(records)], seconds + session_s


def _parse(line: str) -> dict[str, float] | None:
    """Return the numbers of one line, or None where it is not a record."""
    try:
        one = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(one, dict) or not isinstance(one.get("step"), int):
        return None
    return {name: value for name, value in one.items() if isinstance(value, int | float)}


def _list_previews(folder: Path) -> list[Preview]:
    found: dict[int, Preview] = {}
    for path in sorted(folder.glob("*")):
        parts = _PREVIEW.fullmatch(path.name)
        if parts is None:
            continue
        preview = found.setdefault(int(parts["step"]), Preview(int(parts["step"])))
        if parts["row"] in _RECORDINGS:
            preview.recordings[int(parts["k"])] = path
        elif parts["row"] in _GENERATED:
            preview.generated[int(parts["k"])] = path
        elif parts["kind"] == "png":
            preview.picture = path
        elif parts["kind"] == "json":
            preview.shares = read_json(path)
    return [found[step] for step in sorted(found)]
