"""How a generated file came to be: the record that travels in its metadata, and the identity of its
samples.

A record is one line of JSON in the comment of the file. It keeps settings by their Python names and
values, so that the request can be built again (`GenerationRequest.from_provenance`), says that the
sound was generated, and names no person, and no folder but that of a model of your own. A record
read from a file was written by anyone: it is validated like any other input.

Whether two sounds have the same samples is said once, by `identity`: files, clip caches, jobs and
batches ask it. How comments are stored is in `encoding.py` and `containers.py`; how a record
becomes a shell command in `cli/info.py`.
"""

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Protocol, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    model_validator,
)

from latentfoley.config import Dtype, Prediction
from latentfoley.containers import read_comment
from latentfoley.encoding import json_line
from latentfoley.errors import AudioFileError, InputError, nearest
from latentfoley.finishing import Finishing
from latentfoley.version import __version__

SCHEMA_VERSION: Final = 2
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
_Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def _to_utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(microsecond=0)


def _now() -> datetime:
    return datetime.now(UTC)


class RecordingRef(BaseModel):
    """A recording that was the audio prompt of a sound, or its source.

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
            stat = path.stat()
            content = _hash_file(path, stat.st_mtime_ns, stat.st_size)
        except OSError as error:
            raise AudioFileError(f"'{path}' cannot be read: {error.strerror or error}") from None
        return cls(file=os.fsencode(path.name).decode(errors="backslashreplace"), sha256=content)


@lru_cache(maxsize=64)  # of many clips from one recording
def _hash_file(path: Path, mtime_ns: int, size: int) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


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
        settings: of that kind of edit, by the names of `EditRequest`.
        other: the second recording of a morph.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: EditKind
    source: RecordingRef
    settings: dict[_Name, JsonValue] = {}
    other: RecordingRef | None = None


class ModelIdentity(BaseModel):
    """Everything about a loaded model that decides the samples it makes.

    Attributes:
        weights: hash of the weights on disk.
        config: hash of everything that its folder and `load` say about them.
        tokenizer: hash of the text tower's tokenizer.
        compat: how published configs were read; see `load`.
        adapter: hash of the LoRA adapter that was merged, None for none.
        dtype: precision of the networks, see `load`.
        device: kind of device; samples of another kind differ by rounding.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights: _Name
    config: _Name
    tokenizer: _Name
    compat: Literal["trained", "diffusers"]
    adapter: _Name | None
    dtype: Dtype
    device: _Name


class Request(Protocol):
    """What was asked for: a `GenerationRequest` or an `EditRequest`."""

    def settings(self) -> Mapping[str, JsonValue]:
        """Return everything that decides samples, recordings by the hash of their content."""


def identity(model: ModelIdentity, request: Request) -> str:
    """Return what says whether two sounds have the same samples: 64 hexadecimal digits.

    Args:
        model: `Model.identity`.
        request: of one clip; `SamplingRequest.clip` gives it of a request of several.

    Raises:
        AudioFileError: a recording that the request names cannot be read.
    """
    decides = [__version__, model.model_dump(mode="json"), request.settings()]
    return sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()


class Provenance(Finishing):
    """Everything that decided the samples of one generated file, `Finishing` included.

    Attributes:
        schema_version: of this record; a reader refuses those it does not know.
        program, version: what wrote the file.
        kind: what was done: "generation", or the kind of edit.
        edit: which recording was edited and how; None of a generation.
        ai_generated: always true.
        created: when, in UTC, to the second.
        prompt: the text; "" only with an audio prompt or an edit.
        negative_prompt: the text to steer away from, "" for none.
        audio_prompt: the recording in place of a text, None for none.
        seed: of the request, ≥ 0.
        index: which clip of the request, from 0; the noise comes from (seed, index).
        candidate: which of the candidates for that clip was kept, from 0.
        sampler, spacing: names of the sampler and of its step spacing.
        steps: denoising steps, ≥ 1.
        eta: share of fresh noise per step, ≥ 0; 0 is deterministic.
        guidance: classifier-free guidance scale, ≥ 0; 1 is none.
        fast: whether guidance was left out where it matters little.
        duration_s: length before anything was trimmed, in seconds, > 0.
        loop: whether it was generated to repeat without a seam.
        model, revision, tokenizer, prediction, compat, dtype: as they were given to `load`.
        device: kind of device, "" in records of schema 1.
        model_hash: hash of the model's weights.
        lora: the adapter that was merged into them, None for none.
        identity: of the clip that was asked for, see `identity`; "" in records of schema 1.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=()
    )

    schema_version: Literal[2] = SCHEMA_VERSION
    program: Literal["latentfoley"] = PROGRAM
    version: _Name = __version__
    kind: Kind = "generation"
    edit: EditRecord | None = None
    ai_generated: Literal[True] = True
    created: Annotated[AwareDatetime, AfterValidator(_to_utc)] = Field(
        default_factory=_now, validate_default=True
    )
    prompt: _Text = ""
    negative_prompt: _Text = ""
    audio_prompt: RecordingRef | None = None
    seed: int = Field(ge=0)
    index: int = Field(default=0, ge=0)
    candidate: int = Field(default=0, ge=0)
    sampler: _Name
    spacing: _Name
    steps: int = Field(ge=1)
    eta: float = Field(ge=0)
    guidance: float = Field(ge=0)
    fast: bool = False
    duration_s: float = Field(gt=0)
    loop: bool = False
    model: _Name
    revision: _Name | None = None
    tokenizer: _Name | None = None
    prediction: Prediction | None = None
    dtype: Dtype = "fp32"
    compat: Literal["trained", "diffusers"] = "trained"
    device: _Text = ""
    model_hash: _Name
    lora: Lora | None = None
    identity: _Sha256 | Literal[""] = ""

    @model_validator(mode="after")
    def _require_source(self) -> Self:
        if not self.prompt and self.audio_prompt is None and self.edit is None:
            raise ValueError("a prompt or an audio prompt is needed")
        if self.kind != (self.edit.kind if self.edit else "generation"):
            raise ValueError(f"the kind {self.kind!r} does not go with its edit")
        return self

    @property
    def title(self) -> str:
        """What the sound is, in a few words: its prompt, or the recording it comes from."""
        what = self.prompt or (f"like {self.audio_prompt.file}" if self.audio_prompt else "")
        return f"{self.kind} {self.edit.source.file} {what}".strip() if self.edit else what

    def same_sound(self, other: Self) -> bool:
        """Whether both are records of the same samples; never of one without an identity."""
        return self.identity == other.identity != ""

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
        if schema not in (1, SCHEMA_VERSION):
            raise InputError(
                f"a provenance record with schema version {schema!r}, written by latentfoley "
                f"{record.get('version', '(unknown)')!r}; this version reads 1 to {SCHEMA_VERSION}"
            )
        if schema == 1:
            record = _from_schema_1(record)
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


# What schema 1 wrote of an edit: words of the command line of its time.
_FLOATS_1: Final = {
    "--strength": "strength",
    "--before": "before_s",
    "--after": "after_s",
    "--cutoff": "cutoff_hz",
    "--seam": "seam_s",
    "--mix": "mix",
}


def _from_schema_1(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record of schema 1 in the form of today's; what does not fit is left as it is."""
    record = record | {"schema_version": SCHEMA_VERSION}
    if "like" in record:
        record["audio_prompt"] = record.pop("like")
    edit = record.get("edit")
    if isinstance(edit, dict) and "options" in edit:
        try:
            settings = _settings_of_schema_1(edit["options"])
        except (LookupError, TypeError, ValueError):
            return record  # refused with the name of the key
        record["edit"] = {k: v for k, v in edit.items() if k != "options"} | {"settings": settings}
    return record


def _settings_of_schema_1(options: list[tuple[str, str]]) -> dict[str, JsonValue]:
    settings: dict[str, Any] = {}
    for option, text in options:
        if option in _FLOATS_1:
            settings[_FLOATS_1[option]] = float(text)
        elif option == "--repeats":
            settings["repeats"] = int(text)
        elif option == "--source-prompt":
            settings["source_prompt"] = text
        elif option == "--invert":
            settings["invert"] = True
        elif option == "--from":
            settings.setdefault("spans", []).append([float(text)])
        elif option == "--to":
            settings["spans"][-1].append(float(text))
        elif option == "--band":
            settings.setdefault("bands", []).append([float(hz) for hz in text.split(":")])
        elif option != "--with":  # that recording stands under `other`
            raise ValueError(option)
    return settings
