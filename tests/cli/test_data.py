"""`latentfoley data`: what is printed, and what is answered to each mistake."""

import json
import os

import pytest

from folders import sound, write
from signals import tone

ONE_WORKER = ("--workers", 1)


@pytest.fixture
def folder(tmp_path):
    """A folder with two recordings, one of them with a caption, and a broken file."""
    sound(tmp_path / "in/a [x].wav", tone(duration_s=1))
    sound(tmp_path / "in/雨/b.wav")
    write(tmp_path / "in/雨/b.txt", "rain")
    write(tmp_path / "in/broken.wav", "hello")
    return tmp_path / "in"


class TestScan:
    def test_a_table(self, run, folder):
        end = run("data", "scan", "in", *ONE_WORKER)
        assert (end.code, end.err) == (0, "")
        rows = dict(line.split(maxsplit=1) for line in end.out.splitlines()[:12] if line.strip())
        assert rows["recordings"].startswith("2, 0 min 1 s")
        assert rows["formats"].strip() == "WAV PCM_16 (2)"
        assert rows["captions"].startswith("1 recordings have some")
        assert "broken.wav: 'in/broken.wav' is not a recording" in end.out

    def test_one_json_object(self, run, folder):
        end = run("data", "scan", "in", "--json", *ONE_WORKER)
        found = json.loads(end.out)
        assert (found["n_recordings"], found["captioned"]) == (2, 1)
        assert found["broken"][0][0] == "broken.wav"

    def test_a_picture(self, run, folder, tmp_path):
        assert run("data", "scan", "in", "--plot", "scan.png", *ONE_WORKER).code == 0
        assert (tmp_path / "scan.png").read_bytes().startswith(b"\x89PNG")

    def test_a_long_list_is_cut_short_and_says_so(self, run, folder):
        for k in range(20):
            write(folder / f"{k}.wav", "hello")
        end = run("data", "scan", "in", *ONE_WORKER)
        assert "… and 11 more; --json lists them all" in end.out

    def test_a_name_cannot_move_the_cursor(self, run, folder):
        write(folder / "\x1b[2J\n.wav", "hello")
        assert "  \\x1b[2J\\n.wav: 'in/\\x1b" in run("data", "scan", "in", *ONE_WORKER).out

    @pytest.mark.parametrize(
        ("words", "says"),
        [
            (["inn"], "there is no folder 'inn'. Nearest there: in."),
            (["in/broken.wav"], "'in/broken.wav' is a file; give the folder"),
            (["in/雨/none"], "there is no folder 'in/雨/none'"),
            (["empty"], "'empty' holds no recordings"),
            (["in", "--workers", 0], "0 workers; allowed: 1 to 256"),
            (["in", "--layout", "esc5"], ["unknown layout 'esc5'", "Did you mean 'esc50'?"]),
            (["in", "--layout", "clotho"], ["'in' is not laid out as clotho", "looks like plain"]),
            (["in", "--captions", "c.csv"], "there is no table 'c.csv'"),
            (["in", "--plot", "scan.jpg"], "'scan.jpg' cannot be the picture"),
            (["in", "--plot", "in/a [x].wav/p.png", *ONE_WORKER], "cannot be written"),
        ],
    )
    def test_mistakes(self, run, refused, folder, tmp_path, words, says):
        (tmp_path / "empty").mkdir()
        refused(run, "data", "scan", *words, says=says)

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may list everything")
    def test_a_folder_that_is_closed(self, run, refused, folder):
        folder.chmod(0)
        refused(run, "data", "scan", "in", says="'in' cannot be listed: Permission denied")
        folder.chmod(0o700)


class TestPrepare:
    def test_what_was_made(self, run, folder, tmp_path):
        end = run("data", "prepare", "in", "out", *ONE_WORKER)
        assert (end.code, end.err) == (0, "")
        rows = dict(line.split(maxsplit=1) for line in end.out.splitlines())
        assert rows["shards"].strip() == "1 in out"
        assert rows["clips"].strip() == "2, 0 min 1 s, mono, 16000 Hz"
        assert rows["skipped"].strip() == "1 (see out/skipped.jsonl)"
        assert (tmp_path / "out" / "shard-000000.tar").is_file()

    def test_one_json_object(self, run, folder):
        words = ("--rate", 8000, "--piece", 1, "--held-out", 0.5, "--per-shard", 1)
        end = run("data", "prepare", "in", "out", "--json", *words, *ONE_WORKER)
        made = json.loads(end.out)
        assert (made["n_clips"], made["n_skipped"]) == (2, 1)
        assert made["settings"] == {
            "folder": "../in",
            "layout": "plain",
            "sample_rate": 8000,
            "piece_s": 1.0,
            "held_out": 0.5,
            "recordings_per_shard": 1,
        }

    def test_a_stop_says_how_to_go_on(self, run, folder, monkeypatch):
        def stop(*_args, **_settings):
            raise KeyboardInterrupt

        monkeypatch.setattr("latentfoley.data.prepare.map_on", stop)
        end = run("data", "prepare", "in", "out")
        assert end.code == 130
        assert end.err == "stopped; what is written is whole, and the same command resumes\n"
        monkeypatch.undo()

    @pytest.mark.parametrize(
        ("words", "says"),
        [
            (["inn", "out"], "there is no folder 'inn'. Nearest there: in."),
            (["in/broken.wav", "out"], "'in/broken.wav' is a file; give the folder"),
            (["empty", "out"], "'empty' holds no recordings"),
            (["in", "in"], "'in' holds something else: a [x].wav, broken.wav, 雨; give a new"),
            (["in", "in/broken.wav"], "'in/broken.wav' is a file, or in one"),
            (["in", "/proc/out"], "'/proc/out' cannot be written to: No such file"),
            (["in", "out", "--rate", 500], "sample_rate: Input should be greater than or equal to"),
            (["in", "out", "--held-out", 1], "held_out: Input should be less than 1"),
            (["in", "out", "--layout", "esc5"], "Did you mean 'esc50'?"),
            (["in", "out", "--workers", 1000], "1000 workers; allowed: 1 to 256"),
        ],
    )
    def test_mistakes(self, run, refused, folder, tmp_path, words, says):
        (tmp_path / "empty").mkdir()
        refused(run, "data", "prepare", *words, says=says)


class TestEncode:
    @pytest.fixture
    def prepared(self, run, folder):
        """The folder, prepared in `out`."""
        assert run("data", "prepare", "in", "out", *ONE_WORKER).code == 0

    @pytest.fixture
    def encode(self, run, micro_model_folder):
        """Return a function that runs `latentfoley data encode WORDS…` on the micro model."""
        quickly = ("--model", micro_model_folder, "--duration", 0.4, "--device", "cpu")
        return lambda *words: run("data", "encode", *quickly, *words)

    def test_what_was_made(self, encode, prepared, tmp_path):
        end = encode("out", "latents")
        assert (end.code, end.err) == (0, "")
        rows = dict(line.split(maxsplit=1) for line in end.out.splitlines())
        assert rows["windows"].strip() == "4 of 0.4 s, from 2 clips, in latents"
        assert json.loads(encode("out", "latents", "--json").out)["n_windows"] == 4

    @pytest.mark.parametrize(
        ("words", "says"),
        [
            (["ot", "latents"], ["'ot' holds no dataset.json", "Nearest there: out."]),
            (["in", "latents"], "'in' holds no dataset.json: give a folder that `latentfoley"),
            (["out", "in"], "'in' holds something else"),
            (["out", "out"], "'out' holds something else"),
            (["out", "latents", "--model", "tyny"], ["there is no model 'tyny'", "mean 'tiny'?"]),
            (["out", "latents", "--duration", 1000], "windows of 1000.0 s; allowed: more than 0"),
            (["out", "latents", "--device", "gpu"], "device 'gpu' cannot be used here"),
        ],
    )
    def test_mistakes(self, encode, refused, prepared, words, says):
        refused(encode, *words, says=says)
