"""What a run left in its folder: `run.json`, `log.jsonl` and `previews/`.

A run that was killed, or made by an older version, lacks some of it. What is missing is said in
`Run.gaps` and never fatal, as long as there is a log.
"""

import json
import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from latentfoley.errors import RecipeError, nearest, nearest_files
from latentfoley.training.report.series import Series

# The loss that is judged for each kind of run, and what tells a log without run.json apart.
MAIN_LOSS = {"diffusion": "loss", "vae": "l1", "vocoder": "mel", "clap": "contrast"}
HELD_OUT = "valid_"  # begins the names of losses on recordings that are not trained on

_NOT_LOSSES = ("step", "elapsed_s", "learning_rate", "gradient_norm", "steps_per_second")
_PREVIEW = re.compile(r"(?P<step>\d{7,})(?:-(?P<name>.+))?\.(?P<kind>png|wav|json)")

Record = dict[str, float]


@dataclass
class Preview:
    """What a run showed at one step: a picture, sounds by name, shares by label."""

    step: int
    picture: Path | None = None
    sounds: dict[str, Path] = field(default_factory=dict)
    shares: dict[str, float] = field(default_factory=dict)

    def row(self, name: str) -> list[Path]:
        """Return the sounds NAME-0, NAME-1, … in this order."""
        found = {}
        for sound, path in self.sounds.items():
            row, _, number = sound.rpartition("-")
            if row == name and number.isdigit():
                found[int(number)] = path
        return [found[k] for k in sorted(found)]


@dataclass(frozen=True)
class Run:
    """A run as it is read.

    Attributes:
        folder: of the run.
        kind: a key of `MAIN_LOSS`.
        facts: run.json; empty where there is none.
        log: one record per logged step, in order; the last one counts where a resumed run
            logged a step again.
        seconds: of training, all sessions together.
        previews: in the order of their steps.
        gaps: what is missing or damaged, in sentences.
    """

    folder: Path
    kind: str
    facts: dict[str, Any]
    log: list[Record]
    seconds: float
    previews: list[Preview]
    gaps: list[str]

    @property
    def recipe(self) -> dict[str, Any]:
        """The settings of the run; empty where they are not known."""
        return dict(self.facts.get("recipe") or {})

    @cached_property
    def loss_names(self) -> list[str]:
        """The names of all losses, in the order in which they were first logged."""
        names = dict.fromkeys(name for record in self.log for name in record)
        return [name for name in names if name not in _NOT_LOSSES]

    def series(self, name: str) -> Series:
        """Return the finite and other values of one name; empty where it was never logged."""
        found = [(record["step"], record[name]) for record in self.log if name in record]
        steps, values = zip(*found, strict=True) if found else ((), ())
        return Series(name, np.array(steps, dtype=np.int64), np.array(values, dtype=np.float64))


def read_run(folder: Path) -> Run:
    """Read the folder of a run.

    Raises:
        RecipeError: no such folder, no log, a damaged log or run.json, or a run of a kind that
            this version does not know.
    """
    if not folder.is_dir():
        raise RecipeError(f"there is no run at '{folder}'.{nearest_files(folder)}")
    gaps: list[str] = []
    log, seconds = _read_log(folder / "log.jsonl", gaps)
    facts = _read_facts(folder / "run.json", gaps)
    previews = _list_previews(folder / "previews")
    return Run(folder, _kind(folder, facts, log), facts, log, seconds, previews, gaps)


def _kind(folder: Path, facts: dict[str, Any], log: list[Record]) -> str:
    """Return what was trained, as run.json says, else as the names of the losses tell."""
    if "kind" in facts:
        kind = str(facts["kind"])
        if kind not in MAIN_LOSS:
            raise RecipeError(
                f"'{folder}' is a run of kind '{kind}'; {nearest(kind, sorted(MAIN_LOSS))}"
            )
        return kind
    for kind, loss in MAIN_LOSS.items():
        if loss in log[0]:
            return kind
    names = ", ".join(name for name in log[0] if name not in _NOT_LOSSES) or "none"
    raise RecipeError(
        f"'{folder}' has no run.json, and its losses ({names}) are of no known kind of run; "
        f"known: {', '.join(f'{kind} ({loss})' for kind, loss in MAIN_LOSS.items())}"
    )


def _read_facts(path: Path, gaps: list[str]) -> dict[str, Any]:
    if not path.is_file():
        gaps.append(
            "There is no run.json: settings, data and hardware are not known, and what needs them "
            "was not measured. Runs of this version write one."
        )
        return {}
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise RecipeError(f"{path} is damaged ({error}); without the file a page is made") from None
    if not isinstance(facts, dict):
        raise RecipeError(f"{path}: expected a JSON object, got {type(facts).__name__}")
    return facts


def _read_log(path: Path, gaps: list[str]) -> tuple[list[Record], float]:
    """Return the records by step, and the seconds of all sessions."""
    if not path.is_file():
        raise RecipeError(
            f"there is no log at '{path}': is '{path.parent}' the folder of a run (run.folder of "
            "its recipe), and has it made a first step?"
        )
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    records: dict[float, Record] = {}
    seconds, session_s = 0.0, 0.0
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        record = _parse(line)
        if record is None:
            if number < len(lines):
                raise RecipeError(f"{path}:{number} is not a record of a step: {line[:80]}")
            gaps.append("The last line of log.jsonl is cut off, as by a kill, and was left out.")
            continue
        elapsed_s = record.get("elapsed_s", 0.0)
        if elapsed_s < session_s:  # the clock starts anew when a run is resumed
            seconds += session_s
        session_s = elapsed_s
        records[record["step"]] = record
    if not records:
        raise RecipeError(f"{path} holds no step yet; let the run log one first")
    return [records[step] for step in sorted(records)], seconds + session_s


def _parse(line: str) -> Record | None:
    """Return the numbers of one line, or None where it is no record."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or not isinstance(record.get("step"), int):
        return None
    return {
        name: float(value) if name != "step" else value
        for name, value in record.items()
        if isinstance(value, int | float)
    }


def _list_previews(folder: Path) -> list[Preview]:
    found: dict[int, Preview] = {}
    for path in sorted(folder.glob("*")):
        parts = _PREVIEW.fullmatch(path.name)
        if parts is None:
            continue
        preview = found.setdefault(int(parts["step"]), Preview(int(parts["step"])))
        if parts["kind"] == "wav" and parts["name"]:
            preview.sounds[parts["name"]] = path
        elif parts["kind"] == "png":
            preview.picture = path
        elif parts["kind"] == "json":
            preview.shares = _shares(path)
    return [found[step] for step in sorted(found)]


def _shares(path: Path) -> dict[str, float]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(k): float(v) for k, v in values.items()} if isinstance(values, dict) else {}
