"""The suite of 120 edits: what each case asks for, read from `suite.toml` and checked.

It knows nothing about models: `methods.py` carries a case out, `measures.py` and `judges.py` say
how it went.
"""

import tomllib
from pathlib import Path
from typing import Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, model_validator

HERE = Path(__file__).parent
SEEDS = (0, 1, 2)

Operation = Literal["transfer", "inpaint", "bands", "upsample", "vary", "extend", "loop", "morph"]
OPERATIONS: tuple[Operation, ...] = get_args(Operation)
FAMILIES: dict[str, tuple[str, ...]] = {
    "drum": ("arovane", "bd", "drum", "hat", "loop", "perc", "ride", "sn", "tabla"),
    "synth": ("ambi", "bass", "elec", "glitch", "mehackit"),
}
"""The kinds of Sonic Pi sound that a transfer may aim at, and what its samples are named by."""

_NEEDS: dict[Operation, tuple[str, ...]] = {
    "transfer": ("prompt", "target"),
    "inpaint": ("prompt", "spans"),
    "bands": ("prompt", "bands"),
    "upsample": ("prompt", "rate_hz"),
    "vary": (),
    "extend": ("prompt", "after_s"),
    "loop": ("prompt",),
    "morph": ("other",),
}


class Case(BaseModel):
    """One edit of one recording.

    Attributes:
        name: of the case: its operation and its number.
        operation: what is done; "bands" is inpainting in frequency.
        group: the part of the operation's table that it counts in.
        source: the recording, below the folder of the data.
        prompt: what to hear; "" where the recording is its own guide.
        target: of a transfer: an ESC-10 class, or a kind in `FAMILIES`.
        spans: seconds made anew.
        bands: Hz made anew.
        rate_hz: of an upsampling: the sample rate that the recording is brought down to before.
        after_s: of an extension: seconds cut off the end before, and to be made again.
        other: of a morph: the second recording.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    operation: Operation
    group: str
    source: str
    prompt: str = ""
    target: str = ""
    spans: tuple[tuple[float, float], ...] = ()
    bands: tuple[tuple[float, float], ...] = ()
    rate_hz: int | None = None
    after_s: float | None = None
    other: str = ""

    @model_validator(mode="after")
    def _check_fields(self) -> Self:
        optional = {name for needed in _NEEDS.values() for name in needed}
        given = {name for name in optional if getattr(self, name)}
        if given != set(_NEEDS[self.operation]):
            raise ValueError(f"{self.name} gives {sorted(given)}")
        return self

    @property
    def label(self) -> str:
        """The folder of the source: of ESC-10, its class."""
        return Path(self.source).parent.name if self.source.startswith("esc10/") else ""


def read_suite(path: Path = HERE / "suite.toml") -> list[Case]:
    """Return the cases in the order of the file, each named after its place in its operation."""
    tables: dict[str, list[dict[str, Any]]] = tomllib.loads(path.read_text(encoding="utf-8"))
    return [
        Case(name=f"{operation}-{number:02d}", operation=operation, **row)  # type: ignore[arg-type]
        for operation, rows in tables.items()
        for number, row in enumerate(rows, start=1)
    ]
