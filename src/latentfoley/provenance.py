"""How a generated file came to be: the record that travels in its metadata.

A record is one line of JSON in the comment of the file. It is enough to make the same samples
again (`command`), it says that the sound was generated, and it names no person, and no folder but
that of a model of your own. A record read from a file was written by anyone: it is validated like
any other input and shown with control characters escaped.

It does not know how comments are stored: that is `encoding.py` and `containers.py`.
"""

import json
import os
import shlex
from datetime import UTC, datetime
from hashlib import file_digest
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from latentfoley.containers import read_comment
from latentfoley.encoding import json_line
from latentfoley.errors import AudioFileError, InputError, nearest

SCHEMA_VERSION: Final = 1
PROGRAM: Final = "latentfoley"

EditKind = Literal["transfer", "vary", "inpaint", "extend", "upsample", "loop", "morph"]
Kind = Literal["generation"] | EditKind


def _require_characters(text: str) -> str:
    """Refuse lone surrogates, which JSON can spell but no file name or terminal can hold."""
    if any("\ud800" <= c <= "\udfff" for c in text):
        raise ValueError("holds a lone surrogate, which is no character")
    return text


_Text = Annotated[str, AfterValidator(_require_characters)]
_Name = Annotated[_Text, Field(min_length=1)]
_Option = Annotated[str, Field(pattern=r"^--[a-z][a-z-]*$")]
_Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def _to_utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(microsecond=0)


def _now() -> datetime:
    return datetime.now(UTC)


def _installed_version() -> str:
    from latentfoley import __version__  # late: the package may export this module

    return __version__


class Guide(BaseModel):
    """A recording that a sound was made like, or made from.

    Attributes:
        file: its name without the folder.
        sha256: of its bytes, 64 hexadecimal digits.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: _Name
    sha256: _Sha256

    def __str__(self) -> str:
        return f"{self.file} (sha256 {self.sha256})"

    @classmethod
    def of(cls, path: Path) -> Self:
        """Return the record of a file.

        Raises:
            AudioFileError: it cannot be read.
        """
        try:
            with path.open("rb") as file:
                return cls(file=path.name, sha256=file_digest(file, "sha256").hexdigest())
        except OSError as error:
            raise AudioFileError(f"'{path}' cannot be read: {error.strerror or error}") from None


class Lora(BaseModel):
    """An adapter that was merged into the model's weights.

    Attributes:
        name: the folder it was loaded from.
        hash: of its weights.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: _Name
    hash: _Name

    def __str__(self) -> str:
        return f"{self.name} (hash {self.hash})"


class EditRecord(BaseModel):
    """What was done to a recording.

    Attributes:
        kind: the edit's name.
        source: the recording.
        options: words of the command line that decide the edit, pairs of option and value in
            their order; a value of "" is a flag.
        other: the second recording of a morph.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: EditKind
    source: Guide
    options: tuple[tuple[_Option, _Text], ...] = ()
    other: Guide | None = None


class Provenance(BaseModel):
    """Everything that decided the samples of one generated file.

    Attributes:
        schema_version: of this record; a reader refuses those it does not know.
        program, version: what wrote the file.
        kind: what was done: "generation", or the kind of edit.
        edit: which recording was edited and how; None of a generation.
        ai_generated: always true.
        created: when, in UTC, to the second.
        prompt: the text; "" only with `like` or an edit.
        negative_prompt: the text to steer away from, "" for none.
        like: the guiding recording, None for none.
        seed: of the request, ≥ 0.
        index: which clip of the request, from 0; the noise comes from (seed, index).
        candidate: which of the candidates for that clip was kept, from 0.
        sampler, spacing: names of the sampler and of its step spacing.
        steps: denoising steps, ≥ 1.
        eta: share of fresh noise per step, ≥ 0; 0 is deterministic.
        guidance: classifier-free guidance scale, ≥ 0; 1 is none.
        duration_s: length, in seconds, > 0.
        loop: whether it was generated to repeat without a seam.
        model: the name or hub id it was loaded by.
        dtype: precision of the denoiser.
        compat: how published configs were read; see `load`.
        model_hash: hash of its weights.
        lora: the adapter that was merged into them, None for none.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=()
    )

    schema_version: Literal[1] = SCHEMA_VERSION
    program: Literal["latentfoley"] = PROGRAM
    version: _Name = Field(default_factory=_installed_version)
    kind: Kind = "generation"
    edit: EditRecord | None = None
    ai_generated: Literal[True] = True
    created: Annotated[AwareDatetime, AfterValidator(_to_utc)] = Field(
        default_factory=_now, validate_default=True
    )
    prompt: _Text = ""
    negative_prompt: _Text = ""
    like: Guide | None = None
    seed: int = Field(ge=0)
    index: int = Field(default=0, ge=0)
    candidate: int = Field(default=0, ge=0)
    sampler: _Name
    spacing: _Name
    steps: int = Field(ge=1)
    eta: float = Field(ge=0)
    guidance: float = Field(ge=0)
    duration_s: float = Field(gt=0)
    loop: bool = False
    model: _Name
    dtype: Literal["fp32", "bf16", "fp16"] = "fp32"
    compat: Literal["trained", "diffusers"] = "trained"
    model_hash: _Name
    lora: Lora | None = None

    @model_validator(mode="after")
    def _require_source(self) -> Self:
        if not self.prompt and self.like is None and self.edit is None:
            raise ValueError("a prompt or a guiding recording is needed")
        if self.kind != (self.edit.kind if self.edit else "generation"):
            raise ValueError(f"the kind {self.kind!r} does not go with its edit")
        return self

    @property
    def title(self) -> str:
        """What the sound is, in a few words: its prompt, or the recording it comes from."""
        what = self.prompt or (f"like {self.like.file}" if self.like else "")
        return f"{self.kind} {self.edit.source.file} {what}".strip() if self.edit else what

    def same_sound(self, other: Self) -> bool:
        """Whether both records lead to the same samples: all is equal but the time."""
        return self.model_copy(update={"created": other.created}) == other

    def to_record(self) -> dict[str, Any]:
        """Return plain JSON values, as `write_audio(..., provenance=...)` takes them."""
        return self.model_dump(mode="json")

    def to_comment(self) -> str:
        """Return the record as one line of ASCII JSON."""
        return json_line(self.to_record())

    @classmethod
    def from_comment(cls, text: str) -> Self:
        """Read what `to_comment` wrote.

        Raises:
            InputError: no JSON object, another schema version, an unknown or missing key, or a
                value out of range.
        """
        record = _json_object(text)
        if record is None:
            raise InputError(f"not a provenance record: {text[:60]!r}; expected one JSON object")
        return cls._from_record(record)

    @classmethod
    def _from_record(cls, record: dict[str, Any]) -> Self:
        schema = record.get("schema_version")
        if schema != SCHEMA_VERSION:
            raise InputError(
                f"a provenance record with schema version {schema!r}, written by latentfoley "
                f"{record.get('version', '(unknown)')!r}; this version reads {SCHEMA_VERSION}"
            )
        for key in record:
            if key not in cls.model_fields:
                raise InputError(
                    f"provenance record: unknown key {key!r}; {nearest(key, cls.model_fields)}"
                )
        try:
            return cls.model_validate(record)
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(str(part) for part in first["loc"]) or "record"
            raise InputError(f"provenance record: {name}: {first['msg']}") from None


def read_provenance(path: str | os.PathLike[str]) -> Provenance | None:
    """Return how a file came to be, None where it carries no record of ours.

    Raises:
        AudioFileError: the file cannot be opened as a recording.
        InputError: it carries a record of ours that is damaged or of another schema version.
    """
    record = _json_object(read_comment(path))
    if record is None or record.get("program") != PROGRAM:
        return None
    return Provenance._from_record(record)


def _json_object(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def describe(provenance: Provenance) -> dict[str, str]:
    """Return what `latentfoley info` prints: label → text, in reading order.

    Control characters are escaped, so that a file cannot write to the terminal of its reader.
    """
    guide, edit = provenance.like, provenance.edit
    clip = f"seed {provenance.seed}, index {provenance.index}, candidate {provenance.candidate}"
    sampling = (
        f"{provenance.sampler}, {provenance.steps} steps, {provenance.spacing} spacing, "
        f"eta {provenance.eta:g}"
    )
    rows = {
        "edit": f"{edit.kind} of {edit.source}" if edit else "",
        "settings": " ".join(word for pair in edit.options for word in pair) if edit else "",
        "other": f"{edit.other}" if edit and edit.other else "",
        "prompt": provenance.prompt,
        "negative prompt": provenance.negative_prompt,
        "like": f"{guide}" if guide else "",
        "clip": clip,
        "sampling": sampling,
        "guidance": f"{provenance.guidance:g}",
        "duration": f"{provenance.duration_s:g} s" + (", a loop" if provenance.loop else ""),
        "model": f"{provenance.model} (hash {provenance.model_hash})",
        "adapter": f"{provenance.lora}" if provenance.lora else "",
        "computed": f"{provenance.dtype}, as {provenance.compat}",
        "made by": f"{provenance.program} {provenance.version}",
        "made on": f"{provenance.created:%Y-%m-%d %H:%M:%S} UTC",
        "AI-generated": "yes",
        "again": command(provenance),
    }
    return {label: _printable(text) for label, text in rows.items() if text}


def command(provenance: Provenance) -> str:
    """Return the shell command that makes the same samples again.

    Every setting is spelt out, so that it does not depend on defaults that may change. Recordings
    that guided the sound or were edited have to be in the working folder.
    """
    guide, edit = provenance.like, provenance.edit
    duration = {} if edit else {"--duration": provenance.duration_s}
    options: dict[str, object] = {
        "--negative-prompt": provenance.negative_prompt,
        "--like": guide.file if guide else "",
        "--seed": provenance.seed,
        "--index": provenance.index,
        "--candidate": provenance.candidate,
        **duration,
        "--sampler": provenance.sampler,
        "--steps": provenance.steps,
        "--spacing": provenance.spacing,
        "--eta": provenance.eta,
        "--guidance": provenance.guidance,
        "--model": provenance.model,
        "--lora": provenance.lora.name if provenance.lora else "",
        "--dtype": provenance.dtype,
        "--compat": provenance.compat,
    }
    words = [provenance.program, *(["edit", edit.kind] if edit else ["generate"])]
    pairs = [(option, str(value)) for option, value in options.items() if str(value)]
    flags = [("--loop", "")] if provenance.loop else []
    for option, text in [*(edit.options if edit else ()), *flags, *pairs]:
        # A value that begins with a dash would be taken for an option if it stood alone.
        words += [f"{option}={text}"] if text[:1] == "-" else [option, text] if text else [option]
    named = [edit.source.file] if edit else []
    named += [provenance.prompt] if provenance.prompt else []
    if any(word[:1] == "-" for word in named):
        return " ".join(_quote(word) for word in [*words, "--", *named])
    start = 3 if edit else 2
    return " ".join(_quote(word) for word in [*words[:start], *named, *words[start:]])


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _quote(word: str) -> str:
    """Quote a word for the shell; control characters as $'\\x1b', so that they can be printed."""
    if word.isprintable():
        return shlex.quote(word)
    escaped = "".join(
        c if c.isprintable() and c not in "\\'" else "".join(f"\\x{b:02x}" for b in c.encode())
        for c in word
    )
    return f"$'{escaped}'"
