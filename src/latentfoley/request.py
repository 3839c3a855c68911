"""What a user asks for: one frozen, validated object, whichever door it came through."""

import math
import re
import reprlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self
from unicodedata import category

from pydantic import (
    ConfigDict,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from latentfoley.encoding import MAX_WRITTEN_RATE, MIN_WRITTEN_RATE
from latentfoley.errors import InputError, nearest, what_is_wrong
from latentfoley.finishing import NAMES as FINISHING
from latentfoley.finishing import Finishing
from latentfoley.provenance import EditRecord, Provenance, RecordingRef
from latentfoley.samplers import SAMPLERS, SPACINGS, sampler_meant

MAX_PROMPTS = 10_000
MAX_PROMPT_CHARACTERS = 2_000
MIN_DURATION_S, MAX_DURATION_S = 0.1, 3600.0
MAX_STEPS = 1000
STEPS, FAST_STEPS = 25, 8
MAX_GUIDANCE = 100.0
MAX_CANDIDATES = 64

# One part of a blend: a text, an at sign, a weight ("rain @0.7"), then a plus sign or the end.
_WEIGHT = re.compile(r"@\s*(?P<weight>[-+]?(\d+([.,]\d*)?|[.,]\d+)(e[-+]?\d+)?)\s*(\+|$)", re.I)
_PART = re.compile(rf"(?P<text>[^@]*){_WEIGHT.pattern}", re.I)
_INVISIBLE = ("Cc", "Cf")  # of Unicode: control characters, marks of direction and joining
_BLEND = "the parts of a blend are texts with weights of at least 0, like 'rain @0.7 + a dog @0.3'"

Prompt = str | Mapping[str, float]
"""A text, or texts with weights: the embedding is their weighted mean, made a unit vector."""


class SamplingRequest(Finishing):
    """What every request says: what to hear, how to sample it, and how to finish it
    (`finishing.Finishing` has those options). Every clip has a number, its index, and its noise
    depends on nothing but (seed, index, candidate): it is the same alone, in a batch, or on another
    machine.

    Attributes:
        prompts: texts or blends ("rain @0.7 + a dog barking @0.3"); empty with an audio prompt.
        audio_prompt: a recording whose embedding takes the place of a text's.
        negative_prompt: what to steer away from; "" is the empty prompt.
        steps: denoising steps, 1 … 1000; 25 where none are given, 8 with `fast`.
        guidance: classifier-free guidance scale w; 1 is none, 2.5 to 5 is usual.
        sampler, spacing: names in `samplers.SAMPLERS` and `SPACINGS`; None is the sampler's own.
        eta: DDIM's share of fresh noise, 0 … 1.
        fast: less work for nearly the same sound: fewer steps where `steps` is not given, and
            guidance at the noise levels where it matters alone (`diffusion.GUIDED_SIGMAS`).
        seed: of the whole request.
        n: clips per prompt.
        candidates: sounds made per clip, of which CLAP keeps the one nearest to the prompt.
        index: number of the first clip.
        candidate: number of the first candidate.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    prompts: tuple[str, ...] = ()
    audio_prompt: Path | None = None
    negative_prompt: str = ""
    steps: int = STEPS
    guidance: float = 2.5
    sampler: str = "dpm++"
    spacing: str | None = None
    eta: float = 0.0
    fast: bool = False
    seed: int = 0
    n: int = 1
    candidates: int = 1
    index: int = 0
    candidate: int = 0

    @classmethod
    def build(cls, prompt: Prompt | Sequence[Prompt] | None = None, **options: Any) -> Self:
        """Return a validated request.

        Raises:
            InputError: what was given, what is allowed and, for names, the nearest match.
        """
        known = [name for name in cls.model_fields if name != "prompts"]
        for name in options:
            if name not in known:
                raise InputError(f"unknown option '{name}'; {nearest(name, known)}")
        try:
            return cls(prompts=_as_texts(prompt), **options)
        except ValidationError as error:
            first = error.errors()[0]
            name = str(first["loc"][0]) if first["loc"] else ""
            what = what_is_wrong(first)
            if first["type"] == "finite_number" and name in RANGES:
                what = "must be a finite number between {} and {}".format(*RANGES[name])
            if name and "unknown" not in what:
                what = f"{what}, got {reprlib.repr(first['input'])}"
            raise InputError(f"{name}: {what}" if name else what) from None

    @model_validator(mode="before")
    @classmethod
    def _fill_steps(cls, values: dict[str, Any]) -> dict[str, Any]:
        return {"steps": FAST_STEPS if values.get("fast") is True else STEPS} | values

    @field_validator("prompts")
    @classmethod
    def _check_prompts(cls, prompts: tuple[str, ...]) -> tuple[str, ...]:
        if len(prompts) > MAX_PROMPTS:
            raise ValueError(f"at most {MAX_PROMPTS} prompts at once")
        for prompt in prompts:
            _check_text(prompt)
            if all(c.isspace() or category(c) in _INVISIBLE for c in prompt):
                raise ValueError("a prompt must say something; it is empty")
            parse_blend(prompt)
        return prompts

    @field_validator("negative_prompt")
    @classmethod
    def _check_negative(cls, text: str) -> str:
        _check_text(text)
        return text

    @field_validator("*")
    @classmethod
    def _check_range(cls, value: Any, info: ValidationInfo) -> Any:
        low, high = RANGES.get(str(info.field_name), (-math.inf, math.inf))
        if isinstance(value, int | float) and not low <= value <= high:
            raise ValueError(f"must lie between {low} and {high}")
        return value

    @field_validator("sampler", "spacing")
    @classmethod
    def _check_name(cls, name: str | None, info: ValidationInfo) -> str | None:
        known = SAMPLERS if info.field_name == "sampler" else SPACINGS
        if name is not None and name not in known:
            meant = sampler_meant(name) if known is SAMPLERS else None
            raise ValueError(f"{name!r} is unknown; {nearest(meant or name, known)}")
        return name

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.prompts and self.audio_prompt is not None:
            raise ValueError("give prompts or an audio prompt, and not both")
        if self.eta > 0 and not SAMPLERS[self.sampler].takes_eta:
            raise ValueError(f"eta is a setting of ddim; {self.sampler} takes none")
        if self.loops and (self.trim or self.fade_in_s or self.fade_out_s):
            raise ValueError("a loop has no ends: trim, fade_in_s and fade_out_s are not for it")
        return self

    @property
    def n_clips(self) -> int:
        """Clips in all."""
        return self.n * max(1, len(self.prompts))

    @property
    def loops(self) -> bool:
        """Whether the end of a clip leads on to its beginning."""
        return False

    @property
    def audio_prompts(self) -> tuple[tuple[Path, float], ...]:
        """The recordings whose embedding takes the place of a text's, and their weights."""
        return ((self.audio_prompt, 1.0),) if self.audio_prompt else ()

    @property
    def led_away_from(self) -> str:
        """The text of the unconditional side of guidance."""
        return self.negative_prompt

    def clip(self, k: int) -> Self:
        """Return the request of clip k alone, 0 ≤ k < n_clips."""
        prompts = self.prompts and (self.prompts[k // self.n],)
        return self.model_copy(update={"prompts": prompts, "n": 1, "index": self.index + k})

    def settings(self) -> dict[str, Any]:
        """Return everything that decides samples as plain values, recordings by their content.

        Raises:
            AudioFileError: a recording cannot be read.
        """
        spacing = self.spacing or SAMPLERS[self.sampler].spacing
        values = self.model_dump(mode="json") | {"spacing": spacing}
        files = {name: path for name, path in self if isinstance(path, Path)}
        return values | {name: RecordingRef.of(path).sha256 for name, path in files.items()}

    def edit_record(self) -> EditRecord | None:
        """Return what a record says of the edit; None of a generation."""
        return None


class GenerationRequest(SamplingRequest):
    """Sounds to generate from nothing but noise.

    Attributes:
        duration_s: length of each clip in seconds, returned to the sample.
        loop: whether its end leads on to its beginning.
    """

    duration_s: float = 5.0
    loop: bool = False

    @property
    def loops(self) -> bool:
        """Whether the end of a clip leads on to its beginning."""
        return self.loop

    @classmethod
    def from_provenance(cls, record: Provenance, folder: Path = Path()) -> Self:
        """Build the request of the clip that a record describes.

        Args:
            record: of a generation.
            folder: where its audio prompt lies.

        Raises:
            InputError: it is the record of an edit, or holds a value that no request allows.
        """
        if record.edit is not None:
            raise InputError(f"the record describes an edit ({record.kind}); see `EditRequest`")
        return cls.build(
            record.prompt or None,
            duration_s=record.duration_s,
            loop=record.loop,
            **recorded(record, folder),
        )

    @model_validator(mode="after")
    def _check_source(self) -> Self:
        if not self.prompts and self.audio_prompt is None:
            raise ValueError("there is no prompt; give either prompts or an audio prompt")
        return self


_RECORDED = (
    *("negative_prompt", "seed", "index", "candidate"),
    *("sampler", "spacing", "steps", "eta", "guidance", "fast"),
    *FINISHING,
)


def recorded(record: Provenance, folder: Path) -> dict[str, Any]:
    """Return the options of `SamplingRequest` that a record holds, but for the prompt."""
    audio_prompt = folder / record.audio_prompt.file if record.audio_prompt else None
    return {"audio_prompt": audio_prompt} | {name: getattr(record, name) for name in _RECORDED}


RANGES: dict[str, tuple[float, float]] = {
    "duration_s": (MIN_DURATION_S, MAX_DURATION_S),
    "strength": (0, 1),
    "repeats": (1, 20),
    "cutoff_hz": (0, 384_000),
    "seam_s": (0.04, 60),
    "mix": (0, 1),
    "before_s": (0, 3600),
    "after_s": (0, 3600),
    "steps": (1, MAX_STEPS),
    "guidance": (0, MAX_GUIDANCE),
    "eta": (0, 1),
    "seed": (0, 2**63 - 1),
    "n": (1, MAX_PROMPTS),
    "candidates": (1, MAX_CANDIDATES),
    "index": (0, 2**31),
    "candidate": (0, 2**31),
    "fade_in_s": (0, 3600),
    "fade_out_s": (0, 3600),
    "normalise_lufs": (-60, 0),
    "sample_rate": (MIN_WRITTEN_RATE, MAX_WRITTEN_RATE),
    "channels": (1, 2),
}


def parse_blend(prompt: str) -> list[tuple[str, float]]:
    """Return the parts of a prompt with weights that sum to 1.

    A prompt is a blend where a number follows an at sign, at its end or before a plus sign; then
    every part has to have one.

    Raises:
        InputError: a part without a weight, a weight that is negative or has a comma, or weights
            that are all 0.

    Example:
        >>> parse_blend("rain @3 + a dog barking @1")
        [('rain', 0.75), ('a dog barking', 0.25)]
        >>> parse_blend("cats + dogs")
        [('cats + dogs', 1.0)]
    """
    if not _WEIGHT.search(prompt):
        return [(prompt, 1.0)]
    found = [(m["text"].strip(), m["weight"]) for m in _PART.finditer(prompt)]
    if any("," in weight for _, weight in found):
        raise InputError(f"{_BLEND}; in {prompt!r} a weight has a comma where a point belongs")
    parts = [(text, float(weight)) for text, weight in found]
    rest = _PART.sub("", prompt).strip() or ("+" if prompt.rstrip().endswith("+") else "")
    if rest or not all(text for text, _ in parts):
        given = f"'{rest}' has none" if rest else "one has no text"
        raise InputError(f"{_BLEND}; in {prompt!r} {given}")
    if any(weight < 0 for _, weight in parts):
        raise InputError(
            f"{_BLEND}, got {prompt!r}; to lead away from a sound, give a negative prompt"
        )
    total = sum(weight for _, weight in parts)
    if total == 0:
        raise InputError(f"{_BLEND}, not all of them 0, got {prompt!r}")
    return [(text, weight / total) for text, weight in parts]


def _as_texts(prompt: Prompt | Sequence[Prompt] | None) -> tuple[str, ...]:
    """Return every prompt as text, blends in the written form."""
    if prompt is None:
        return ()
    if not isinstance(prompt, str | Mapping | Sequence):
        raise InputError(
            f"a prompt is a text, texts with weights, or a list of those, got {prompt!r}"
        )
    prompts = [prompt] if isinstance(prompt, str | Mapping) else list(prompt)
    if not prompts:
        raise InputError("the list of prompts is empty; give at least one")
    return tuple(_as_text(one) for one in prompts)


def _as_text(prompt: Prompt) -> str:
    if isinstance(prompt, str):
        return prompt
    if not isinstance(prompt, Mapping):
        raise InputError(f"a prompt is a text or a mapping of texts to weights, got {prompt!r}")
    for text, weight in prompt.items():
        if not (isinstance(weight, int | float) and math.isfinite(weight) and weight >= 0):
            raise InputError(
                f"the weight of {text!r} must be a number of at least 0, got {weight!r}"
            )
    written = " + ".join(f"{text} @{weight:.6f}" for text, weight in prompt.items())
    if "@" in "".join(prompt) or [text for text, _ in parse_blend(written)] != list(prompt):
        raise InputError(
            "a blend needs texts without '@', and without space at their ends, "
            f"got {dict(prompt)!r}"
        )
    return written


def _check_text(text: str) -> None:
    if len(text) > MAX_PROMPT_CHARACTERS:
        raise ValueError(f"at most {MAX_PROMPT_CHARACTERS} characters")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("holds a lone surrogate, which is no character")
    if "\0" in text:
        raise ValueError("holds a NUL, which is no character of a text")
