"""The record in every generated file: it survives each format and makes the same command again."""

import json
import os
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from latentfoley import __version__
from latentfoley.audio import write_audio
from latentfoley.editing.request import EditRequest
from latentfoley.errors import AudioFileError, InputError
from latentfoley.provenance import (
    EditRecord,
    ModelIdentity,
    Provenance,
    RecordingRef,
    identity,
    read_provenance,
)
from latentfoley.request import GenerationRequest
from records import GUIDE, PROMPTS, prompts, record
from signals import tone

FILES = ["a.wav", "a.flac", "a.ogg", "a.mp3"]


class TestRoundTrip:
    @pytest.mark.parametrize("name", FILES)
    @pytest.mark.parametrize("prompt", PROMPTS)
    def test_through_every_format(self, tmp_path, name, prompt):
        written = record(
            prompt=prompt, negative_prompt="müde", audio_prompt=GUIDE, index=3, candidate=1
        )
        path = tmp_path / name
        write_audio(path, tone(), 16_000, provenance=written.to_record())
        assert read_provenance(path) == written

    @pytest.mark.parametrize("name", FILES)
    @pytest.mark.parametrize("letter", ["a", "ü", "雨", "🐕"])
    def test_prompts_of_two_thousand_characters(self, tmp_path, name, letter):
        written = record(prompt=letter * 2000, negative_prompt=letter * 1800)
        path = tmp_path / name
        write_audio(path, tone(), 16_000, provenance=written.to_record())
        assert read_provenance(path) == written

    @pytest.mark.parametrize(("suffix", "subtype"), [("wav", "FLOAT"), ("ogg", "OPUS")])
    def test_through_other_subtypes(self, tmp_path, suffix, subtype):
        path = tmp_path / f"a.{suffix}"
        write_audio(path, tone(), 16_000, provenance=record().to_record(), subtype=subtype)
        assert read_provenance(path) == record(created=read_provenance(path).created)

    @settings(max_examples=50, deadline=None)
    @given(prompt=prompts, seed=st.integers(0, 2**64), guidance=st.floats(0, 1e6))
    def test_through_a_comment(self, prompt, seed, guidance):
        written = record(prompt=prompt, seed=seed, guidance=guidance)
        assert Provenance.from_comment(written.to_comment()) == written

    @settings(max_examples=50, deadline=None)
    @given(prompts)
    def test_a_comment_is_one_line_of_ascii(self, prompt):
        comment = record(prompt=prompt).to_comment()
        assert comment.isascii()
        assert comment.isprintable()


class TestWhatItSays:
    def test_that_the_sound_was_generated_by_this_version(self):
        values = json.loads(record().to_comment())
        assert values["ai_generated"] is True
        assert (values["program"], values["version"]) == ("latentfoley", __version__)
        assert (values["schema_version"], values["kind"]) == (2, "generation")

    def test_when_in_utc(self):
        assert record().created - datetime.now(UTC) < timedelta(seconds=5)
        there = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=timezone(timedelta(hours=2)))
        assert record(created=there).to_record()["created"] == "2026-01-02T01:04:05Z"

    def test_it_cannot_be_changed(self):
        with pytest.raises(ValidationError):
            record().seed = 8

    @pytest.mark.parametrize(
        "changes",
        [
            {"seed": -1},
            {"index": -1},
            {"candidate": -1},
            {"steps": 0},
            {"eta": -0.1},
            {"eta": float("nan")},
            {"guidance": float("inf")},
            {"duration_s": 0},
            {"model": ""},
            {"sampler": ""},
            {"ai_generated": False},
            {"created": datetime(2026, 1, 1)},
            {"prompt": ""},
            {"colour": "red"},
            {"audio_prompt": {"file": "a.wav", "sha256": "short"}},
        ],
    )
    def test_values_out_of_range(self, changes):
        with pytest.raises(ValidationError):
            record(**changes)

    def test_a_guiding_recording_can_stand_for_the_prompt(self):
        assert record(prompt="", audio_prompt=GUIDE).audio_prompt == GUIDE


class TestEdits:
    def edited(self, **changes):
        values = {
            "kind": "inpaint",
            "source": GUIDE,
            "settings": {"spans": [[1.0, 2.0]], "bands": [], "repeats": 1},
        }
        edit = EditRecord(**(values | changes))
        return record(kind=edit.kind, edit=edit, prompt="")

    @pytest.mark.parametrize("name", FILES)
    def test_through_every_format(self, tmp_path, name):
        written = self.edited(kind="morph", other=GUIDE, settings={"mix": 0.25})
        write_audio(tmp_path / name, tone(), 16_000, provenance=written.to_record())
        assert read_provenance(tmp_path / name) == written

    @pytest.mark.parametrize(
        "changes",
        [
            {"kind": "burn"},
            {"settings": {"": 1}},
            {"settings": {"strength": object()}},
            {"source": None},
            {"colour": "red"},
        ],
    )
    def test_what_cannot_be_on_record(self, changes):
        with pytest.raises(ValidationError):
            self.edited(**changes)

    def test_a_kind_goes_with_its_edit(self):
        with pytest.raises(ValidationError, match="does not go with its edit"):
            record(kind="vary", edit=self.edited().edit)
        with pytest.raises(ValidationError, match="does not go with its edit"):
            record(kind="vary")

    def test_titles(self):
        assert self.edited().title == "inpaint my dog.wav"
        assert record().title == "a dog barking"
        assert record(prompt="", audio_prompt=GUIDE).title == "like my dog.wav"


def test_a_name_that_is_not_utf_8_is_written_out(tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9.wav")
    path.write_bytes(b"any")
    assert RecordingRef.of(path).file == "caf\\xe9.wav"


class TestReadingOtherFiles:
    @pytest.mark.parametrize("name", FILES)
    def test_without_a_comment(self, tmp_path, name):
        write_audio(tmp_path / name, tone(), 16_000, provenance=None)
        assert read_provenance(tmp_path / name) is None

    def test_with_a_record_of_another_program(self, tmp_path):
        write_audio(tmp_path / "a.wav", tone(), 16_000, provenance={"program": "other"})
        assert read_provenance(tmp_path / "a.wav") is None

    def test_of_a_later_version(self, tmp_path):
        later = record().to_record() | {"schema_version": 3, "version": "9.0"}
        write_audio(tmp_path / "a.wav", tone(), 16_000, provenance=later)
        with pytest.raises(InputError, match=r"version 3, written by latentfoley '9\.0'"):
            read_provenance(tmp_path / "a.wav")

    def test_that_are_no_recordings(self, tmp_path):
        (tmp_path / "a.wav").write_text("hello")
        with pytest.raises(AudioFileError, match="is not a recording"):
            read_provenance(tmp_path / "a.wav")

    @pytest.mark.parametrize(
        "text", ["", "ripped by me", "[1]", "7", "{", "[" * 100_000, '{"a":' + "9" * 5000 + "}"]
    )
    def test_a_comment_that_is_no_record(self, text):
        with pytest.raises(InputError, match="not a provenance record"):
            Provenance.from_comment(text)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"seeed": 1}, "unknown key 'seeed'; allowed: .*Did you mean 'seed'"),
            ({"steps": "many"}, "steps: "),
            ({"guidance": None}, "guidance: "),
            ({"prompt": "\ud800"}, "prompt: "),
            ({"audio_prompt": {"file": "a.wav"}}, "audio_prompt.sha256: "),
            ({"prompt": ""}, "a prompt or an audio prompt is needed"),
        ],
    )
    def test_a_record_that_does_not_hold_together(self, changes, message):
        text = json.dumps(record().to_record() | changes)
        with pytest.raises(InputError, match=message):
            Provenance.from_comment(text)

    def test_a_record_with_a_missing_value(self):
        values = record().to_record()
        del values["model"]
        with pytest.raises(InputError, match="model: Field required"):
            Provenance.from_comment(json.dumps(values))


OLD = {
    "schema_version": 1,
    "version": "0.1.0",
    "created": "2026-11-25T10:00:00Z",
    "program": "latentfoley",
    "ai_generated": True,
    "kind": "generation",
    "edit": None,
    "prompt": "rain",
    "negative_prompt": "",
    "like": None,
    "seed": 3,
    "index": 2,
    "candidate": 0,
    "sampler": "dpm++",
    "spacing": "karras",
    "steps": 25,
    "eta": 0.0,
    "guidance": 4.5,
    "duration_s": 5.0,
    "loop": False,
    "model": "tiny",
    "dtype": "fp32",
    "compat": "trained",
    "model_hash": "0123456789abcdef",
    "lora": None,
}


class TestSchema1:
    """Records of files that were written before settings were kept by their Python names."""

    def read(self, **changes):
        return Provenance.from_comment(json.dumps(OLD | changes))

    def edited(self, kind, *options, **changes):
        edit = {"kind": kind, "source": GUIDE.model_dump(), "options": options} | changes
        return EditRequest.from_provenance(self.read(kind=kind, edit=edit | {"kind": kind}))

    def test_a_generation(self):
        record = self.read()
        assert (record.prompt, record.seed, record.identity) == ("rain", 3, "")
        assert GenerationRequest.from_provenance(record).index == 2

    def test_the_recording_in_place_of_a_text(self):
        assert self.read(prompt="", like=GUIDE.model_dump()).audio_prompt == GUIDE

    def test_edits(self):
        transfer = self.edited("transfer", ("--strength", "0.25"), ("--invert", ""))
        assert (transfer.strength, transfer.invert, transfer.source.name) == (
            0.25,
            True,
            GUIDE.file,
        )
        spans = ("--from", "1.0"), ("--to", "2.0"), ("--from", "3.5"), ("--to", "4.0")
        inpaint = self.edited("inpaint", *spans, ("--band", "100.0:2000.5"), ("--repeats", "2"))
        assert inpaint.spans == ((1.0, 2.0), (3.5, 4.0))
        assert (inpaint.bands, inpaint.repeats) == (((100.0, 2000.5),), 2)
        extend = self.edited("extend", ("--before", "0.5"), ("--after", "1.0"))
        assert (extend.before_s, extend.after_s) == (0.5, 1.0)
        assert self.edited("upsample", ("--cutoff", "3000.0")).cutoff_hz == 3000
        assert self.edited("loop", ("--seam", "0.25")).seam_s == 0.25
        morph = self.edited(
            "morph", ("--with", "b.wav"), ("--mix", "0.0"), other=GUIDE.model_dump()
        )
        assert (morph.other.name, morph.mix) == (GUIDE.file, 0)

    @pytest.mark.parametrize(
        "options", [[["--out", "a"]], [["--to", "1"]], [["--strength", "much"]], [7], 7]
    )
    def test_words_that_are_no_setting(self, options):
        edit = {"kind": "vary", "source": GUIDE.model_dump(), "options": options}
        with pytest.raises(InputError, match="options"):
            self.read(kind="vary", edit=edit)


MODEL = ModelIdentity(
    weights="w",
    config="c",
    tokenizer="t",
    compat="trained",
    adapter=None,
    dtype="fp32",
    device="cpu",
)


class TestIdentity:
    """Two sounds have the same samples where everything that decides them is the same."""

    @pytest.mark.parametrize("field", ModelIdentity.model_fields)
    def test_everything_about_the_model_counts(self, field):
        other = {"compat": "diffusers", "dtype": "bf16"}.get(field, "another")
        request = GenerationRequest.build("rain")
        changed = MODEL.model_copy(update={field: other})
        assert identity(changed, request) != identity(MODEL, request)

    @pytest.mark.parametrize(
        "change",
        [
            {"negative_prompt": "sea"}, {"steps": 7}, {"guidance": 2.0}, {"sampler": "ddim"},
            {"spacing": "uniform"}, {"seed": 1}, {"index": 1}, {"candidate": 1},
            {"candidates": 2}, {"duration_s": 4.0}, {"loop": True},
        ],
    )  # fmt: skip
    def test_everything_that_is_asked_counts(self, change):
        plain, changed = (GenerationRequest.build("rain", **c) for c in ({}, change))
        assert identity(MODEL, plain) != identity(MODEL, changed)
        assert identity(MODEL, GenerationRequest.build("snow")) != identity(MODEL, plain)

    def test_a_default_that_is_spelt_out_changes_nothing(self):
        plain, spelt = (GenerationRequest.build("rain", **c) for c in ({}, {"spacing": "karras"}))
        assert identity(MODEL, plain) == identity(MODEL, spelt)

    def test_a_clip_of_many_is_the_clip_alone(self):
        many = GenerationRequest.build(["rain", "sea"], n=2, seed=5)
        alone = GenerationRequest.build("sea", seed=5, index=3)
        assert identity(MODEL, many.clip(3)) == identity(MODEL, alone)

    def test_recordings_count_by_their_content(self, tmp_path):
        for name, content in {"a": b"1", "b": b"1", "c": b"2"}.items():
            (tmp_path / name).write_bytes(content)
        a, b, c = (identity(MODEL, EditRequest.build("vary", tmp_path / n)) for n in "abc")
        assert a == b != c
        (tmp_path / "a").write_bytes(b"22")
        assert identity(MODEL, EditRequest.build("vary", tmp_path / "a")) != a

    def test_a_record_without_one_is_the_same_as_none(self):
        assert not record().same_sound(record())
        assert record(identity="0" * 64).same_sound(record(identity="0" * 64, prompt="other"))

    @pytest.mark.parametrize(
        ("kind", "settings"),
        [
            ("transfer", {"strength": 0.3, "source_prompt": "sea", "invert": True}),
            ("inpaint", {"spans": [(0, 1), (2, 3.5)], "bands": [(100, 200)], "repeats": 3}),
            ("extend", {"before_s": 1.5, "after_s": 2}),
            ("upsample", {"cutoff_hz": 4000}),
            ("loop", {"seam_s": 0.3}),
            ("morph", {"mix": 0.2, "strength": 0.5}),
        ],
    )
    def test_a_request_is_built_again_from_its_record(self, tmp_path, kind, settings):
        for name in ("a.wav", "b.wav"):
            (tmp_path / name).write_bytes(name.encode())
        settings = settings | ({"other": tmp_path / "b.wav"} if kind == "morph" else {})
        request = EditRequest.build(kind, tmp_path / "a.wav", "rain", seed=4, steps=9, **settings)
        written = record(
            kind=kind, edit=request.edit_record(), prompt="rain", spacing="karras",
            **request.model_dump(include={"seed", "steps", "sampler", "eta", "guidance"}),
        )  # fmt: skip
        again = EditRequest.from_provenance(Provenance.from_comment(written.to_comment()), tmp_path)
        assert identity(MODEL, again) == identity(MODEL, request)
