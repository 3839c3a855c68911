"""`latentfoley generate`: the files that are asked for, and the same ones every time."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from latentfoley.pipeline import Model
from latentfoley.provenance import read_provenance
from signals import tone

PNG = b"\x89PNG\r\n\x1a\n"


def samples(path):
    return soundfile.read(path, dtype="int16")[0]


def paths(end):
    """Return the files that a command says it has written."""
    assert (end.code, end.err) == (0, "")
    return [line.partition("  ")[0] for line in end.out.splitlines()]


def names(folder):
    return sorted(file.name for file in folder.iterdir())


class TestFiles:
    def test_one_prompt_makes_one_file_in_out(self, generate, tmp_path):
        end = generate("a dog barking, far away!")
        assert (end.code, end.err) == (0, "")
        said = r"out/000-a-dog-barking-far-away\.wav  0\.2 s  -\d\d\.\d LUFS\n"
        assert re.fullmatch(said, end.out)
        waveform = samples(tmp_path / "out" / "000-a-dog-barking-far-away.wav")
        assert waveform.shape == (3200,)
        assert np.abs(waveform).max() > 0

    @pytest.mark.parametrize(
        ("format_", "kind"), [("wav", "WAV"), ("flac", "FLAC"), ("ogg", "OGG"), ("mp3", "MP3")]
    )
    def test_every_format(self, generate, tmp_path, format_, kind):
        assert generate("rain", "--format", format_).code == 0
        path = tmp_path / "out" / f"000-rain.{format_}"
        assert (soundfile.info(path).format, soundfile.info(path).frames) == (kind, 3200)
        assert read_provenance(path).prompt == "rain"

    def test_every_clip_of_every_prompt_has_its_number(self, generate, tmp_path):
        end = generate("rain", "the sea", "-n", 2, "-o", "sounds")
        written = ["000-rain.wav", "001-rain.wav", "002-the-sea.wav", "003-the-sea.wav"]
        assert paths(end) == [f"sounds/{name}" for name in written]
        assert names(tmp_path / "sounds") == written
        clips = [samples(tmp_path / "sounds" / name).tobytes() for name in written]
        assert len(set(clips)) == 4

    @pytest.mark.parametrize("name", ["dog.wav", "deep/er/dog.flac", "DOG.WAV"])
    def test_one_clip_takes_the_name_of_a_file(self, generate, tmp_path, name):
        end = generate("a dog", "-o", name)
        assert paths(end) == [name]
        assert samples(tmp_path / name).shape == (3200,)

    def test_a_folder_may_have_a_dot_in_its_name(self, generate, tmp_path):
        (tmp_path / "old.wav").mkdir()
        for folder in ("v1.2", "old.wav"):
            assert generate("rain", "-o", folder).code == 0
            assert names(tmp_path / folder) == ["000-rain.wav"]

    @pytest.mark.parametrize(
        ("prompt", "name"),
        [
            ("雨が窓を叩く音", "000-雨が窓を叩く音.wav"),
            ("../../etc/passwd", "000-etc-passwd.wav"),
            ("?!", "000-sound.wav"),
            ("--help", "000-help.wav"),
            ("w" * 2000, f"000-{'w' * 40}.wav"),
            ("a\nb\tc\x1bd", "000-a-b-c-d.wav"),
        ],
    )
    def test_any_prompt_makes_a_safe_name(self, generate, tmp_path, prompt, name):
        assert generate("--", prompt).code == 0
        assert names(tmp_path / "out") == [name]
        assert read_provenance(tmp_path / "out" / name).prompt == prompt

    def test_a_folder_whose_name_is_no_text(self, generate):
        assert generate("rain", "-o", "o\udcff").code == 0


class TestPlot:
    @pytest.mark.filterwarnings("ignore::latentfoley.errors.PromptWarning")
    @pytest.mark.parametrize("prompt", ["rain", "雨 🐕", "$_$ \\frac", "a\nb\x1b", "w " * 900])
    def test_a_picture_beside_the_file(self, generate, tmp_path, prompt):
        assert paths(generate("-o", "it.wav", "--plot", prompt)) == ["it.wav"]
        assert (tmp_path / "it.png").read_bytes().startswith(PNG)
        assert names(tmp_path) == ["it.png", "it.wav"]

    def test_a_place_it_cannot_go(self, generate, tmp_path):
        (tmp_path / "it.png").mkdir()
        end = generate("rain", "-o", "it.wav", "--plot")
        assert (end.code, end.err) == (2, "error: 'it.png' cannot be written: Is a directory\n")
        assert names(tmp_path) == ["it.png", "it.wav"]


class TestJson:
    def test_one_object_a_line(self, generate, tmp_path, micro_model):
        end = generate("rain", "雨", "-n", 2, "--seed", 7, "--json")
        assert (end.code, end.err) == (0, "")
        records = [json.loads(line) for line in end.out.splitlines()]
        assert [record["index"] for record in records] == [0, 1, 2, 3]
        assert [record["prompt"] for record in records] == ["rain", "rain", "雨", "雨"]
        for record in records:
            assert record["seed"] == 7
            assert record["score"] is None
            assert record["ai_generated"] is True
            assert record["model_hash"] == micro_model.weights_hash
            path = tmp_path / record["path"]
            assert read_provenance(path).to_record().items() <= record.items()

    def test_the_score_of_the_best_candidate(self, generate):
        (line,) = generate("rain", "--candidates", 3, "--json").out.splitlines()
        record = json.loads(line)
        assert -1 <= record["score"] <= 1
        assert record["candidate"] in range(3)
        assert f"  CLAP {record['score']:.3f}\n" in generate("rain", "--candidates", 3).out


class TestFrom:
    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("p.csv", 'id,prompt\n1,rain\n2,"the sea, far"\n'),
            ("p.CSV", '\ufeffprompt\r\nrain\r\n"the sea, far"\r\n'),
            ("p.jsonl", '{"prompt": "rain"}\n\n{"id": 2, "prompt": "the sea, far"}'),
            ("p.jsonl", '\ufeff{"prompt": "rain"}\r\n{"prompt": "the sea, far"}\r\n'),
        ],
    )
    def test_prompts_of_a_file(self, generate, tmp_path, name, text):
        (tmp_path / name).write_bytes(text.encode())
        assert generate("--from", name).code == 0
        assert names(tmp_path / "out") == ["000-rain.wav", "001-the-sea-far.wav"]

    def test_they_follow_those_of_the_command(self, generate, tmp_path):
        (tmp_path / "p.csv").write_text("prompt\nrain\n")
        assert generate("the sea", "--from", "p.csv").code == 0
        assert names(tmp_path / "out") == ["000-the-sea.wav", "001-rain.wav"]

    def test_only_a_line_feed_ends_a_line(self, generate, tmp_path):
        (tmp_path / "p.jsonl").write_text('{"prompt": "rain\u2028sea"}\n')
        assert generate("--from", "p.jsonl").code == 0
        assert names(tmp_path / "out") == ["000-rain-sea.wav"]


class TestSameSounds:
    def test_index_makes_one_of_many_again(self, generate, tmp_path):
        assert generate("rain", "-n", 4, "--seed", 5).code == 0
        assert generate("rain", "--index", 2, "--seed", 5, "-o", "again").code == 0
        first = samples(tmp_path / "out" / "002-rain.wav")
        again = samples(tmp_path / "again" / "002-rain.wav")
        assert np.array_equal(first, again)

    def test_another_sound_of_the_same_name_is_kept(self, generate, tmp_path):
        for seed in (1, 2, 1, 3):
            assert generate("rain", "--seed", seed).code == 0
        taken = {"000-rain.wav": 1, "000-rain-2.wav": 2, "000-rain-3.wav": 3}
        assert names(tmp_path / "out") == sorted(taken)
        for name, seed in taken.items():
            assert read_provenance(tmp_path / "out" / name).seed == seed

    def test_a_file_of_another_kind_is_kept(self, generate, tmp_path):
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "000-rain.wav").write_text("mine")
        end = generate("rain")
        assert end.code == 0
        assert "000-rain-2.wav" in end.out
        assert (tmp_path / "out" / "000-rain.wav").read_text() == "mine"

    def test_the_seed_decides(self, generate, tmp_path):
        for seed, out in ((1, "a.wav"), (1, "b.wav"), (2, "c.wav")):
            assert generate("rain", "--seed", seed, "-o", out).code == 0
        a, b, c = (samples(tmp_path / name) for name in ("a.wav", "b.wav", "c.wav"))
        assert np.array_equal(a, b)
        assert not np.array_equal(a, c)

    @pytest.mark.parametrize(
        "words",
        [
            ["--sampler", "ddim"],
            ["--guidance", 6],
            ["--steps", 3],
            ["--negative-prompt", "a dog"],
            ["--index", 1],
            ["--candidate", 1],
            ["--spacing", "uniform"],
        ],
    )
    def test_no_option_is_lost_on_the_way(self, generate, tmp_path, words):
        assert generate("rain", "-o", "plain.wav").code == 0
        assert generate("rain", "-o", "other.wav", *words).code == 0
        plain, other = samples(tmp_path / "plain.wav"), samples(tmp_path / "other.wav")
        assert not np.array_equal(plain, other)


class TestLike:
    def test_eight_channels_at_192_khz(self, generate, tmp_path):
        tones = [tone(200 * (1 + k), 0.2, 192_000) for k in range(8)]
        soundfile.write(tmp_path / "wide.wav", np.stack(tones, axis=1), 192_000)
        end = generate("--audio-prompt", "wide.wav")
        assert paths(end) == ["out/000-like-wide.wav"]
        guide = read_provenance(tmp_path / "out" / "000-like-wide.wav").audio_prompt
        assert (guide.file, len(guide.sha256)) == ("wide.wav", 64)


class TestFinishing:
    def test_files_that_a_daw_takes(self, generate, tmp_path):
        end = generate("rain", "-o", "a.wav", "--normalise", -23, "--rate", 48000, "--channels", 2)
        assert "-23.0 LUFS  resampled from 16000 to 48000 Hz\n" in end.out
        sound, rate = soundfile.read(tmp_path / "a.wav")
        assert (sound.shape, rate) == ((9600, 2), 48_000)
        assert np.array_equal(sound[:, 0], sound[:, 1])

    def test_levels_as_json(self, generate):
        made = json.loads(generate("rain", "--json", "--normalise", -30).out)
        assert made["levels"]["loudness_lufs"] == pytest.approx(-30, abs=0.01)
        assert made["levels"].keys() >= {"true_peak_db", "silent_frames", "silent", "clipped"}
        assert made["normalise_lufs"] == -30

    def test_a_rate_that_the_format_cannot_hold_is_refused_before_the_work(self, generate, refused):
        refused(generate, "rain", "--format", "mp3", "--rate", 96000, says="cannot hold 96000 Hz")

    def test_a_picture_of_a_resampled_clip(self, generate, tmp_path):
        assert paths(generate("rain", "--plot", "--rate", 44100, "-o", "a.wav")) == ["a.wav"]
        assert (tmp_path / "a.png").read_bytes()[:8] == PNG


class TestSilence:
    @pytest.mark.parametrize(("level", "says"), [(0, "silent"), (2e-3, "nearly silent")])
    def test_it_is_said(self, generate, monkeypatch, level, says):
        quieter(monkeypatch, lambda candidate: level)
        end = generate("rain", "-o", "a.wav")
        assert end.err == f"a.wav: {says}; try another --seed\n"
        assert f"  {says}" in end.out

    def test_by_its_own_fades(self, generate):
        end = generate("rain", "-o", "a.wav", "--fade-in", 3600)
        assert end.err.endswith("; its fades are longer than it is\n")

    def test_of_all_candidates(self, generate, monkeypatch):
        quieter(monkeypatch, lambda candidate: 0)
        end = generate("rain", "-o", "a.wav", "--candidates", 2)
        assert end.err == "a.wav: silent, and so are all its candidates; try another --seed\n"


def test_a_prompt_that_is_read_in_part_is_said_once(micro_model_folder, tmp_path):
    words = ["generate", "rain " * 100, "-n", 2, "--steps", 1, "--duration", 0.1, "-o", tmp_path]
    words = [sys.executable, "-m", "latentfoley", *words, "--model", micro_model_folder]
    end = subprocess.run([*map(str, words)], capture_output=True, text=True, timeout=120)
    assert end.returncode == 0
    assert re.findall("^warning: the model reads the first .* rain.*$", end.stderr, re.M) == [
        end.stderr.strip()
    ]


def quieter(monkeypatch, level):
    """Scale what every candidate sounds like by `level(candidate)`."""
    sounds = Model._sounds

    def scaled(self, mode, E, E_uncond, batch, callback):
        made = sounds(self, mode, E, E_uncond, batch, callback)
        return [x * np.float32(level(c)) for x, (_, _, c) in zip(made, batch, strict=True)]

    monkeypatch.setattr(Model, "_sounds", scaled)
