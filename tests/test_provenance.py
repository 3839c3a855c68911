"""The record in every generated file: it survives each format and makes the same command again."""

import json
import shlex
import shutil
import subprocess
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from latentfoley import __version__
from latentfoley.audio import write_audio
from latentfoley.errors import AudioFileError, InputError
from latentfoley.provenance import EditRecord, Guide, Provenance, command, describe, read_provenance
from signals import tone

FILES = ["a.wav", "a.flac", "a.ogg", "a.mp3"]
PROMPTS = [
    "a dog barking",
    "Ein Hund bellt über 3 Zäune",
    "雨が窓を叩く音 🐕‍🦺",
    'he said "don\'t" \\ $HOME `id` ; rm -rf *',
    "two\nlines\tand a tab",
    "  spaces  ",
    "-1 is a dash",
    "--help",
]
prompts = st.text("aé雨🐕 \"'\\-$`\n\t\x1b\x00\u202e", min_size=1, max_size=40)


def record(**changes):
    return Provenance(
        **{
            "prompt": "a dog barking",
            "seed": 7,
            "sampler": "ddim",
            "spacing": "trailing",
            "steps": 50,
            "eta": 0.0,
            "guidance": 2.5,
            "duration_s": 10.24,
            "model": "tiny",
            "model_hash": "sha256:0123abcd",
            **changes,
        }
    )


GUIDE = Guide(file="my dog.wav", sha256="0" * 64)


class TestRoundTrip:
    @pytest.mark.parametrize("name", FILES)
    @pytest.mark.parametrize("prompt", PROMPTS)
    def test_through_every_format(self, tmp_path, name, prompt):
        written = record(prompt=prompt, negative_prompt="müde", like=GUIDE, index=3, candidate=1)
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
        assert (values["schema_version"], values["kind"]) == (1, "generation")

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
            {"like": {"file": "a.wav", "sha256": "short"}},
        ],
    )
    def test_values_out_of_range(self, changes):
        with pytest.raises(ValidationError):
            record(**changes)

    def test_a_guiding_recording_can_stand_for_the_prompt(self):
        assert record(prompt="", like=GUIDE).like == GUIDE


class TestEdits:
    def edited(self, **changes):
        values = {
            "kind": "inpaint",
            "source": GUIDE,
            "options": (("--from", "1.0"), ("--to", "2.0")),
        }
        edit = EditRecord(**(values | changes))
        return record(kind=edit.kind, edit=edit, prompt="")

    @pytest.mark.parametrize("name", FILES)
    def test_through_every_format(self, tmp_path, name):
        written = self.edited(kind="morph", other=GUIDE, options=(("--with", "müde -- .wav"),))
        write_audio(tmp_path / name, tone(), 16_000, provenance=written.to_record())
        assert read_provenance(tmp_path / name) == written

    def test_the_command_names_the_recording_and_every_setting_but_the_length(self):
        again = command(self.edited())
        assert again.startswith("latentfoley edit inpaint 'my dog.wav' --from 1.0 --to 2.0 --seed")
        assert "--duration" not in again

    def test_names_that_begin_with_a_dash_are_no_options(self):
        odd = Guide(file="-o.wav", sha256="0" * 64)
        words = shlex.split(command(self.edited(source=odd, options=(("--with", "-x.wav"),))))
        assert words[-2:] == ["--", "-o.wav"]
        assert "--with=-x.wav" in words

    def test_a_flag_has_no_value(self):
        options = (("--invert", ""),)
        assert " --invert --seed 7 " in command(self.edited(kind="vary", options=options))

    @pytest.mark.parametrize(
        "changes",
        [
            {"kind": "burn"},
            {"options": (("; rm -rf *", "1"),)},
            {"options": (("--from", "\ud800"),)},
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
        assert record(prompt="", like=GUIDE).title == "like my dog.wav"


class TestReadingOtherFiles:
    @pytest.mark.parametrize("name", FILES)
    def test_without_a_comment(self, tmp_path, name):
        write_audio(tmp_path / name, tone(), 16_000, provenance=None)
        assert read_provenance(tmp_path / name) is None

    def test_with_a_record_of_another_program(self, tmp_path):
        write_audio(tmp_path / "a.wav", tone(), 16_000, provenance={"program": "other"})
        assert read_provenance(tmp_path / "a.wav") is None

    def test_of_a_later_version(self, tmp_path):
        later = record().to_record() | {"schema_version": 2, "version": "9.0"}
        write_audio(tmp_path / "a.wav", tone(), 16_000, provenance=later)
        with pytest.raises(InputError, match=r"version 2, written by latentfoley '9\.0'"):
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
            ({"like": {"file": "a.wav"}}, "like.sha256: "),
            ({"prompt": ""}, "a prompt or a guiding recording is needed"),
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


class TestDescription:
    def test_shows_what_decided_the_sound(self):
        created = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
        assert describe(record(created=created)) == {
            "prompt": "a dog barking",
            "clip": "seed 7, index 0, candidate 0",
            "sampling": "ddim, 50 steps, trailing spacing, eta 0",
            "guidance": "2.5",
            "duration": "10.24 s",
            "model": "tiny (hash sha256:0123abcd)",
            "computed": "fp32, as trained",
            "made by": f"latentfoley {__version__}",
            "made on": "2026-01-02 03:04:05 UTC",
            "AI-generated": "yes",
            "again": command(record()),
        }

    def test_shows_the_guiding_recording_and_the_negative_prompt(self):
        rows = describe(record(like=GUIDE, negative_prompt="hiss"))
        assert rows["like"] == f"my dog.wav (sha256 {'0' * 64})"
        assert rows["negative prompt"] == "hiss"

    @settings(max_examples=50, deadline=None)
    @given(prompts)
    def test_cannot_control_the_terminal(self, prompt):
        hostile = record(prompt=prompt, model=prompt, like=Guide(file=prompt, sha256="0" * 64))
        assert all(text.isprintable() for text in describe(hostile).values())


class TestCommand:
    def test_spells_out_every_setting(self):
        again = command(record(like=GUIDE, negative_prompt="hiss", index=2, candidate=1))
        assert again == (
            "latentfoley generate 'a dog barking' --negative-prompt hiss --like 'my dog.wav' "
            "--seed 7 --index 2 --candidate 1 --duration 10.24 --sampler ddim --steps 50 "
            "--spacing trailing --eta 0.0 --guidance 2.5 --model tiny --dtype fp32 --compat trained"
        )

    @pytest.mark.parametrize("prompt", [p for p in PROMPTS if p.isprintable()])
    def test_the_prompt_comes_back_as_one_word(self, prompt):
        words = shlex.split(command(record(prompt=prompt)))
        position = words.index("--") + 1 if prompt.startswith("-") else 2
        assert words[position] == prompt

    def test_a_value_that_begins_with_a_dash_is_no_option(self):
        assert "--negative-prompt=--help " in command(record(negative_prompt="--help"))

    def test_without_a_prompt(self):
        again = command(record(prompt="", like=GUIDE))
        assert again.startswith("latentfoley generate --like 'my dog.wav' --seed 7")

    @settings(max_examples=50, deadline=None)
    @given(duration_s=st.floats(1e-3, 1e4), guidance=st.floats(0, 1e3))
    def test_numbers_keep_every_digit(self, duration_s, guidance):
        words = shlex.split(command(record(duration_s=duration_s, guidance=guidance)))
        assert float(words[words.index("--duration") + 1]) == duration_s
        assert float(words[words.index("--guidance") + 1]) == guidance

    @pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
    @pytest.mark.parametrize("prompt", [*PROMPTS, "\x1b[31mred\x07 'é雨'\\n \u202e", "it's\n\\x41"])
    def test_bash_understands_it(self, prompt):
        script = f'latentfoley() {{ printf "%s\\0" "$@"; }}; {command(record(prompt=prompt))}'
        output = subprocess.run(
            ["bash", "--norc", "-c", script], capture_output=True, check=True
        ).stdout
        assert prompt in output.decode().split("\0")
