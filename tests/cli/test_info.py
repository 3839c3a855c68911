"""`latentfoley info`: how a file came to be, and the command that makes it again."""

import json
import shlex

import pytest
import soundfile

from latentfoley.audio import write_audio
from latentfoley.provenance import Provenance
from signals import tone


@pytest.fixture
def record():
    """A record as a generated file carries it."""
    return Provenance(
        prompt="rain",
        seed=1,
        sampler="ddim",
        spacing="uniform",
        steps=2,
        eta=0.0,
        guidance=3.0,
        duration_s=1.0,
        model="tiny",
        model_hash="0" * 16,
    ).to_record()


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
            ["--like", "tone.wav"],
            ["a dog", "--candidates", 3],
            ["a dog", "--dtype", "bf16", "--compat", "diffusers"],
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

    def test_a_file_cannot_write_to_the_terminal(self, run, tmp_path, record):
        path = tmp_path / "a.wav"
        write_audio(path, tone(), 16_000, provenance=record | {"prompt": "\x1b[31mred"})
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

    def test_a_name_that_is_no_text(self, run, refused, tmp_path):
        try:
            soundfile.write(tmp_path / "a.wav", tone(), 16_000)
            (tmp_path / "a.wav").rename(tmp_path / "\udcff.wav")
        except OSError:
            pytest.skip("this file system takes names in UTF-8 only")
        refused(run, "info", "\udcff.wav", says="'\\udcff.wav' holds bytes that are not UTF-8")

    @pytest.mark.parametrize(
        ("changes", "says"),
        [
            ({"steps": 0}, "provenance record: steps: "),
            ({"seed": "seven"}, "provenance record: seed: "),
            ({"sede": 1}, ["unknown key 'sede'", "Did you mean 'seed'"]),
            ({"schema_version": 9}, ["schema version 9", "this version reads 1"]),
            ({"ai_generated": False}, "provenance record: ai_generated: "),
        ],
    )
    def test_a_damaged_record(self, run, refused, tmp_path, record, changes, says):
        write_audio(tmp_path / "a.wav", tone(), 16_000, provenance=record | changes)
        refused(run, "info", "a.wav", says=says)

    def test_half_a_record_is_none(self, run, tmp_path, record):
        write_audio(tmp_path / "a.wav", tone(), 16_000, provenance=record)
        data = (tmp_path / "a.wav").read_bytes()
        assert data.count(b'"prompt":"rain"') == 1
        (tmp_path / "a.wav").write_bytes(data.replace(b'"prompt":"rain"', b'"prompt":"rain}'))
        end = run("info", "a.wav")
        assert end.code == 0
        assert "no provenance" in end.out
