"""`latentfoley info`: how a file came to be, and the command that makes it again."""

import json
import shlex
import shutil
import subprocess
from datetime import UTC, datetime

import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from latentfoley import __version__
from latentfoley.audio import write_audio
from latentfoley.cli.info import command, describe, edit_options
from latentfoley.editing.request import EditRequest
from latentfoley.provenance import EditRecord, RecordingRef
from records import GUIDE, PROMPTS, prompts, record
from signals import tone


def again(out):
    """Return the words of the command that `info` prints."""
    (line,) = (line for line in out.splitlines() if line.startswith("  again "))
    return shlex.split(line.removeprefix("  again "))


class TestAgain:
    @pytest.mark.parametrize(
        "words",
        [
            ["rain"],
            ['he said "don\'t" & $HOME; 雨'],
            ["--negative-prompt=-1", "--", "--plot"],
            ["the sea", "--sampler", "ddim", "--eta", "0.7", "--seed", 2**63 - 1],
            ["the sea", "--sampler", "ddpm", "--spacing", "trailing", "--guidance", "1e-7"],
            ["a dog @0.7 + the rain @0.3", "--duration", "0.1234", "--index", 9],
            ["--audio-prompt", "tone.wav"],
            ["a dog", "--candidates", 3],
            ["a dog", "--dtype", "bf16", "--compat", "diffusers"],
            ["rain", "--normalise", -23, "--trim", "--fade-in", 0.01, "--fade-out", 0.05],
            ["rain", "--rate", 44100, "--channels", 2, "--candidates", 2],
            ["rain", "--loop", "--rate", 48000],
        ],
    )
    def test_the_command_makes_the_same_samples(self, run, generate, tmp_path, words):
        soundfile.write(tmp_path / "tone.wav", tone(), 16_000)
        assert generate("-o", "first.wav", *words).code == 0
        end = run("info", "first.wav")
        assert (end.code, end.err) == (0, "")
        program, *command = again(end.out)
        assert program == "latentfoley"
        assert run(command[0], "-o", "second.wav", *command[1:]).code == 0
        first, second = (soundfile.read(tmp_path / f"{n}.wav")[0] for n in ("first", "second"))
        assert first.tobytes() == second.tobytes()


class TestPrinted:
    def test_it_is_in_reading_order(self, run, generate, micro_model, micro_model_folder):
        assert generate("rain", "--seed", 7, "-o", "a.ogg").code == 0
        path, *lines = run("info", "a.ogg").out.splitlines()
        assert path == "a.ogg"
        rows = dict(line.strip().split("  ", 1) for line in lines)
        assert list(rows)[:2] == ["prompt", "clip"]
        assert rows["prompt"].strip() == "rain"
        assert rows["clip"].strip() == "seed 7, index 0, candidate 0"
        assert rows["AI-generated"].strip() == "yes"
        model = f"{micro_model_folder} (hash {micro_model.weights_hash})"
        assert rows["model"].strip() == model

    def test_as_json(self, run, generate, tmp_path):
        soundfile.write(tmp_path / "foreign.wav", tone(), 16_000)
        assert generate("雨", "-o", "a.mp3").code == 0
        end = run("info", "--json", "a.mp3", "foreign.wav")
        assert (end.code, end.err) == (0, "")
        first, second = map(json.loads, end.out.splitlines())
        assert (first["prompt"], first["program"]) == ("雨", "latentfoley")
        assert second is None

    def test_a_foreign_file_has_none(self, run, tmp_path):
        soundfile.write(tmp_path / "foreign.wav", tone(), 16_000)
        end = run("info", "foreign.wav")
        assert (end.code, end.err) == (0, "")
        assert end.out.startswith("foreign.wav\n  no provenance: ")

    def test_a_file_cannot_write_to_the_terminal(self, run, tmp_path):
        path = tmp_path / "a.wav"
        write_audio(
            path, tone(), 16_000, provenance=record().to_record() | {"prompt": "\x1b[31mred"}
        )
        end = run("info", "a.wav")
        assert "\x1b" not in end.out
        assert "\\x1b[31mred" in end.out


class TestRefused:
    def test_a_text(self, run, refused, tmp_path):
        (tmp_path / "notes.wav").write_text("hello")
        says = ["'notes.wav' is not a recording", "Allowed: WAV and AIFF"]
        refused(run, "info", "notes.wav", says=says)

    def test_a_missing_file_with_one_of_a_similar_name(self, run, refused, tmp_path):
        soundfile.write(tmp_path / "thunder.wav", tone(), 16_000)
        says = "there is no file 'thnuder.wav'. Nearest there: thunder.wav."
        refused(run, "info", "thnuder.wav", says=says)

    def test_a_missing_folder(self, run, refused):
        refused(run, "info", "no/a.wav", says="The folder 'no' does not exist")

    def test_a_name_that_is_no_text_is_escaped(self, run, tmp_path):
        try:
            soundfile.write(tmp_path / "a.wav", tone(), 16_000)
            (tmp_path / "a.wav").rename(tmp_path / "\udcff.wav")
        except OSError:
            pytest.skip("this file system takes names in UTF-8 only")
        end = run("info", "\udcff.wav")
        assert (end.code, end.err) == (0, "")
        assert end.out.startswith("\\udcff.wav\n")

    @pytest.mark.parametrize(
        ("changes", "says"),
        [
            ({"steps": 0}, "provenance record: steps: "),
            ({"seed": "seven"}, "provenance record: seed: "),
            ({"sede": 1}, ["unknown key 'sede'", "Did you mean 'seed'"]),
            ({"schema_version": 9}, ["schema version 9", "this version reads 1 to 2"]),
            ({"ai_generated": False}, "provenance record: ai_generated: "),
        ],
    )
    def test_a_damaged_record(self, run, refused, tmp_path, changes, says):
        write_audio(tmp_path / "a.wav", tone(), 16_000, provenance=record().to_record() | changes)
        refused(run, "info", "a.wav", says=says)

    def test_half_a_record_is_none(self, run, tmp_path):
        write_audio(
            tmp_path / "a.wav", tone(), 16_000, provenance=record(prompt="rain").to_record()
        )
        data = (tmp_path / "a.wav").read_bytes()
        assert data.count(b'"prompt":"rain"') == 1
        (tmp_path / "a.wav").write_bytes(data.replace(b'"prompt":"rain"', b'"prompt":"rain}'))
        end = run("info", "a.wav")
        assert end.code == 0
        assert "no provenance" in end.out


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
        rows = describe(record(audio_prompt=GUIDE, negative_prompt="hiss"))
        assert rows["audio prompt"] == f"my dog.wav (sha256 {'0' * 64})"
        assert rows["negative prompt"] == "hiss"

    @settings(max_examples=50, deadline=None)
    @given(prompts)
    def test_cannot_control_the_terminal(self, prompt):
        hostile = record(
            prompt=prompt, model=prompt, audio_prompt=RecordingRef(file=prompt, sha256="0" * 64)
        )
        assert all(text.isprintable() for text in describe(hostile).values())


class TestCommand:
    def test_spells_out_every_setting(self):
        again = command(record(negative_prompt="hiss", index=2, candidate=1))
        assert again == (
            "latentfoley generate 'a dog barking' --duration 10.24 --negative-prompt hiss --seed 7 "
            "--index 2 --candidate 1 --sampler ddim --steps 50 --spacing trailing --eta 0.0 "
            "--guidance 2.5 --model tiny --dtype fp32 --compat trained"
        )

    @pytest.mark.parametrize("prompt", [p for p in PROMPTS if p.isprintable()])
    def test_the_prompt_comes_back_as_one_word(self, prompt):
        words = shlex.split(command(record(prompt=prompt)))
        position = words.index("--") + 1 if prompt.startswith("-") else 2
        assert words[position] == prompt

    def test_a_value_that_begins_with_a_dash_is_no_option(self):
        assert "--negative-prompt=--help " in command(record(negative_prompt="--help"))

    def test_without_a_prompt(self):
        again = command(record(prompt="", audio_prompt=GUIDE))
        assert again.startswith(
            "latentfoley generate --duration 10.24 --audio-prompt 'my dog.wav' "
        )

    @settings(max_examples=50, deadline=None)
    @given(duration_s=st.floats(0.1, 3600), guidance=st.floats(0, 100))
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


class TestCommandOfAnEdit:
    def edited(self, kind="inpaint", source=GUIDE, other=None, **settings):
        edit = EditRecord(kind=kind, source=source, settings=settings, other=other)
        return record(kind=edit.kind, edit=edit, prompt="")

    def test_it_names_the_recording_and_every_setting_but_the_length(self):
        again = command(self.edited(spans=[[1, 2], [3.5, 4]], bands=[[100, 2000.5]], repeats=2))
        assert again.startswith(
            "latentfoley edit inpaint 'my dog.wav' --from 1.0 --to 2.0 --from 3.5 --to 4.0 "
            "--band 100.0:2000.5 --repeats 2 --seed 7"
        )
        assert "--duration" not in again

    def test_names_that_begin_with_a_dash_are_no_options(self):
        odd, other = (RecordingRef(file=name, sha256="0" * 64) for name in ("-o.wav", "-x.wav"))
        words = shlex.split(command(self.edited("morph", odd, other)))
        assert words[-2:] == ["--", "-o.wav"]
        assert "--with=-x.wav" in words

    def test_a_flag_has_no_value(self):
        assert " --invert --seed 7 " in command(self.edited("vary", invert=True))

    @pytest.mark.parametrize("settings", [{"out": "/etc"}, {"strength": "--out x"}, {"spans": 7}])
    def test_a_crafted_record_gives_no_command(self, settings):
        again = describe(self.edited("vary", **settings))["again"]
        assert again.startswith("no command makes it again: ")


def test_nothing_is_a_value_too():
    request = EditRequest.build("transfer", "a.wav", "rain", strength=0)
    assert tuple(edit_options(request)) == (("--strength", "0.0"),)
    morph = EditRequest.build("morph", "a.wav", other="b.wav", mix=0)
    assert ("--mix", "0.0") in tuple(edit_options(morph))


def test_spans_and_bands_as_words_of_the_command_line():
    request = EditRequest.build(
        "inpaint", "a.wav", spans=[(1.2, 2), (3, 4.5)], bands=[(100, 2000.5)]
    )
    assert tuple(edit_options(request)) == (
        *(("--from", "1.2"), ("--to", "2.0"), ("--from", "3.0"), ("--to", "4.5")),
        *(("--band", "100.0:2000.5"), ("--repeats", "1")),
    )


def test_settings_as_words_of_the_command_line():
    request = EditRequest.build(
        "transfer", "a.wav", "rain", strength=0.25, source_prompt="sea", invert=True
    )
    assert tuple(edit_options(request)) == (
        ("--strength", "0.25"),
        ("--source-prompt", "sea"),
        ("--invert", ""),
    )
