"""What can be done to a recording: one frozen, validated object for all kinds of edit."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self, get_args

from pydantic import ValidationInfo, field_validator, model_validator

from latentfoley.errors import nearest
from latentfoley.provenance import EditKind
from latentfoley.request import Prompt, SamplingRequest

Settings = Mapping[str, Any]

SETTINGS: Mapping[str, Settings] = {
    "transfer": {"strength": 0.6, "source_prompt": "", "invert": False},
    "vary": {"strength": 0.5, "invert": False},
    "inpaint": {"spans": (), "bands": (), "repeats": 1},
    "extend": {"before_s": 0.0, "after_s": 0.0, "repeats": 1},
    "upsample": {"cutoff_hz": None, "repeats": 1},
    "loop": {"seam_s": 0.5, "repeats": 1},
    "morph": {"other": None, "mix": 0.5, "strength": 1.0},
}
"""The settings that each kind of edit takes, and their defaults."""

_NEEDS_PROMPT = ("transfer",)
# Settings that are named otherwise on the command line.
_OPTIONS = {"spans": "--from", "bands": "--band", "other": "--with"}


class EditRequest(SamplingRequest):
    """A recording to edit. Without a prompt the model is guided by the recording itself.

    Attributes:
        kind: what to do, a name in `SETTINGS`, which lists the settings it takes.
        source: the recording.
        strength: of a transfer, variation or morph: how deep into noise, 0 (the recording as the
            model hears it) … 1 (nothing of it is left, unless it is inverted).
        source_prompt: of a transfer: what the recording is; guidance leads away from it.
        invert: of a transfer or variation: trace the recording back to the noise that it would
            come from, instead of adding noise at random; keeps more of its structure.
        spans: of an inpainting: beginning and end of each, in seconds; none is all the time.
        bands: of an inpainting: lower and upper edge of each, in Hz; none is all frequencies.
        repeats: of all that makes a part anew: how often each step is walked, 1 … 20; more is in
            better keeping with the surroundings (RePaint's resampling).
        before_s, after_s: of an extension: seconds to add at the start and at the end.
        cutoff_hz: of an upsampling: the band above is made anew; None finds where it ends.
        seam_s: of a loop: how much of it is made anew, half at either end.
        other: of a morph: the second recording.
        mix: of a morph: 0 is the first recording … 1 the second.
    """

    kind: EditKind
    source: Path
    strength: float = 0.0
    source_prompt: str = ""
    invert: bool = False
    spans: tuple[tuple[float, float], ...] = ()
    bands: tuple[tuple[float, float], ...] = ()
    repeats: int = 1
    before_s: float = 0.0
    after_s: float = 0.0
    cutoff_hz: float | None = None
    seam_s: float = 0.5
    other: Path | None = None
    mix: float = 0.5

    @field_validator("spans", "bands")
    @classmethod
    def _check_pairs(
        cls, pairs: tuple[tuple[float, float], ...], info: ValidationInfo
    ) -> tuple[tuple[float, float], ...]:
        unit = "s" if info.field_name == "spans" else "Hz"
        for low, high in pairs:
            if not 0 <= low < high:
                hint = f"; did you mean {high:g} to {low:g} {unit}?" if 0 <= high < low else ""
                raise ValueError(f"{low:g} to {high:g} {unit} is reversed, empty or below 0{hint}")
        return pairs

    @classmethod
    def build(  # type: ignore[override]
        cls,
        kind: str,
        source: str | Path,
        prompt: Prompt | Sequence[Prompt] | None = None,
        **options: Any,
    ) -> Self:
        """Return a validated request.

        Raises:
            InputError: what was given, what is allowed and, for names, the nearest match.
        """
        return super().build(prompt, kind=kind, source=Path(source), **options)

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Refuse settings of other kinds of edit, and add this one's defaults."""
        kind = values.get("kind")
        if kind not in get_args(EditKind):
            raise ValueError(f"unknown edit {kind!r}; {nearest(str(kind), get_args(EditKind))}")
        takes = SETTINGS[str(kind)]
        every = {name for settings in SETTINGS.values() for name in settings}
        for name in values:
            if name in every and name not in takes:
                raise ValueError(f"{name} is no setting of {kind}; {nearest(name, takes)}")
        return {**takes, **values}

    @model_validator(mode="after")
    def _check_edit(self) -> Self:
        if self.kind in _NEEDS_PROMPT and not self.prompts and self.like is None:
            raise ValueError(f"{self.kind} needs a prompt, or a recording to be like")
        if self.kind == "inpaint" and not self.spans and not self.bands:
            raise ValueError("inpaint needs spans (--from, --to), bands (--band) or both")
        if self.kind == "extend" and self.before_s == self.after_s == 0:
            raise ValueError("extend needs before_s (--before), after_s (--after) or both")
        if self.kind == "morph" and self.other is None:
            raise ValueError("morph needs a second recording: other (--with)")
        if self.source_prompt and self.negative_prompt:
            raise ValueError("give a source prompt or a negative prompt: both say what to leave")
        return self

    @property
    def guides(self) -> tuple[tuple[Path, float], ...]:
        """The recordings whose embedding takes the place of a text's: by default the source."""
        if self.prompts or self.like:
            return super().guides
        if self.other is not None:
            return (self.source, 1 - self.mix), (self.other, self.mix)
        return ((self.source, 1.0),)

    @property
    def away(self) -> str:
        """The text that guidance leads away from."""
        return self.source_prompt or self.negative_prompt

    def options(self) -> tuple[tuple[str, str], ...]:
        """Return the settings as options of the command line, for the provenance."""
        pairs: list[tuple[str, str]] = []
        for name in SETTINGS[self.kind]:
            word = name.removesuffix("_s").removesuffix("_hz").replace("_", "-")
            pairs += _words(_OPTIONS.get(name, f"--{word}"), getattr(self, name))
        return tuple(pairs)


def _words(option: str, value: Any) -> list[tuple[str, str]]:
    """Return the words that give a setting on the command line; none for what is not set."""
    if value is None or value is False or value == "":
        return []
    if option == "--from":
        return [
            (o, str(v)) for span in value for o, v in zip(("--from", "--to"), span, strict=True)
        ]
    if option == "--band":
        return [(option, f"{low}:{high}") for low, high in value]
    if isinstance(value, Path):
        return [(option, value.name)]
    return [(option, "" if value is True else str(value))]
