"""What can be done to a recording: one frozen, validated object for all kinds of edit."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self, get_args

from pydantic import ValidationInfo, field_validator, model_validator

from latentfoley.errors import InputError, nearest
from latentfoley.provenance import EditKind, EditRecord, Provenance, RecordingRef
from latentfoley.request import Prompt, SamplingRequest, recorded

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
        repeats: of all that regenerates a part: how often each step is passed, 1 … 20; more is in
            better keeping with the surroundings (RePaint's resampling).
        before_s, after_s: of an extension: seconds to add at the start and at the end.
        cutoff_hz: of an upsampling: the band above is regenerated; None finds where it ends.
        seam_s: of a loop: how much of it is regenerated, half at either end.
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
        if self.kind in _NEEDS_PROMPT and not self.prompts and self.audio_prompt is None:
            raise ValueError(f"{self.kind} needs a prompt, or an audio prompt")
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
    def loops(self) -> bool:
        """Whether the end of a clip leads on to its beginning."""
        return self.kind == "loop"

    @property
    def audio_prompts(self) -> tuple[tuple[Path, float], ...]:
        """The recordings whose embedding takes the place of a text's: by default the source."""
        if self.prompts or self.audio_prompt:
            return super().audio_prompts
        if self.other is not None:
            return (self.source, 1 - self.mix), (self.other, self.mix)
        return ((self.source, 1.0),)

    @property
    def led_away_from(self) -> str:
        """The text of the unconditional side of guidance."""
        return self.source_prompt or self.negative_prompt

    def edit_record(self) -> EditRecord:
        """Return what a record says of the edit.

        Raises:
            AudioFileError: a recording cannot be read.
        """
        names = set(SETTINGS[self.kind]) - {"other"}
        return EditRecord(
            kind=self.kind,
            source=RecordingRef.of(self.source),
            settings=self.model_dump(mode="json", include=names),
            other=RecordingRef.of(self.other) if self.other else None,
        )

    @classmethod
    def from_provenance(cls, record: Provenance, folder: Path = Path()) -> Self:
        """Build the request of the clip that a record describes.

        Args:
            record: of an edit.
            folder: where its recordings lie.

        Raises:
            InputError: it is the record of a generation, or holds a value that no request allows.
        """
        edit = record.edit
        if edit is None:
            raise InputError("the record describes a generation; see `GenerationRequest`")
        other = {"other": folder / edit.other.file} if edit.other else {}
        return cls.build(
            edit.kind,
            folder / edit.source.file,
            record.prompt or None,
            **edit.settings,
            **other,
            **recorded(record, folder),
        )
