"""What `latentfoley generate` answers to each mistake: code 2, what was given, what is allowed."""

import errno
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from safetensors.torch import load_file, save_file

from latentfoley.files import locked
from signals import tone

WEIGHTS = {
    "unet": "diffusion_pytorch_model.safetensors",
    "vae": "diffusion_pytorch_model.safetensors",
    "vocoder": "model.safetensors",
    "text_encoder": "model.safetensors",
}


class TestPrompts:
    @pytest.mark.parametrize(
        ("words", "says"),
        [
            ([], "there is no prompt; give either prompts or an audio prompt"),
            ([""], "a prompt must say something; it is empty, got ('',)"),
            (["rain", " \t\n"], "a prompt must say something; it is empty"),
            (["x" * 5000], "at most 2000 characters, got ('xxxx"),
            (["\u200b\u202e"], "a prompt must say something; it is empty"),
            (["a\udcff"], "holds a lone surrogate, which is no character, got ('a\\udcff',)"),
            (["rain", "--negative-prompt", "x" * 5000], "negative_prompt: at most 2000 characters"),
            (["rain", "--audio-prompt", "a.wav"], "give prompts or an audio prompt, and not both"),
        ],
        ids=["none", "empty", "space", "long", "invisible", "surrogate", "negative", "both"],
    )
    def test_what_is_no_prompt(self, generate, refused, words, says):
        assert len(refused(generate, *words, says=says)) < 300

    def test_ten_thousand_and_one(self, generate, refused, tmp_path):
        (tmp_path / "p.csv").write_text("prompt\n" + "rain\n" * 10_001)
        answer = refused(generate, "--from", "p.csv", says="at most 10000 prompts at once")
        assert len(answer) < 300


class TestPromptFiles:
    @pytest.mark.parametrize(
        ("name", "text", "says"),
        [
            ("p.csv", "", "p.csv holds no prompts"),
            ("p.csv", "prompt\n", "p.csv holds no prompts"),
            ("p.jsonl", "\n\n", "p.jsonl holds no prompts"),
            ("p.csv", "texts\nrain\n", "p.csv:2: no text under 'prompt', 'caption' or 'text' in"),
            ("p.csv", "id,prompt\n1,rain\n2\n", "p.csv:3: no text under 'prompt'"),
            ("p.csv", "prompt\nrain\n  \n", "p.csv:3: no text under 'prompt'"),
            ("p.csv", "prompt\nrain, sea\n", "p.csv:2: more fields than columns, from 'sea' on"),
            ("p.jsonl", '{"prompt": "rain"}\n{"prompt"\n', "p.jsonl:2: not JSON (Expect"),
            ("p.jsonl", '["rain"]', "p.jsonl:1: expected a JSON object, got list"),
            ("p.jsonl", '{"prompt": 7}', "p.jsonl:1: no text under 'prompt'"),
            (
                "p.jsonl",
                '{"texts": "rain"}',
                "p.jsonl:1: no text under 'prompt', 'caption' or 'text' in {'texts': 'rain'}",
            ),
            ("p.jsonl", '{"prompt": "\\ud800"}', "lone surrogate"),
            ("p.jsonl", '{"prompt": "a\\u0000"}', "prompts: holds a NUL"),
            ("p.jsonl", "[" * 100_000, "p.jsonl:1: not JSON"),
            ("p.jsonl", f'{{"prompt": {"1" * 5000}}}', "p.jsonl:1: not JSON"),
            ("p.md", "rain", "prompts come from .txt, .csv, .tsv, .jsonl; got 'p.md'"),
            ("p.csv", b"prompt\n\xff\n", "p.csv:2: not text in UTF-8; save the file as UTF-8"),
            ("p.jsonl", b"\xff\xfe", "p.jsonl holds no prompts"),
        ],
    )
    def test_the_line_is_named(self, generate, refused, tmp_path, name, text, says):
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        refused(generate, "--from", name, says=says)

    def test_no_such_file(self, generate, refused, tmp_path):
        (tmp_path / "prompts.csv").touch()
        says = "there is no file 'promts.csv'. Nearest there: prompts.csv."
        refused(generate, "--from", "promts.csv", says=says)


class TestOptions:
    @pytest.mark.parametrize(
        ("option", "value", "says"),
        [
            ("duration", "0", "duration_s: must lie between 0.1 and 3600.0, got 0.0"),
            ("duration", "-1", "duration_s: must lie between 0.1 and 3600.0, got -1.0"),
            ("duration", "1e9", "duration_s: must lie between 0.1 and 3600.0, got 1000000000.0"),
            ("duration", "nan", "duration_s: must be a finite number between 0.1 and 3600.0"),
            ("duration", "inf", "duration_s: must be a finite number between 0.1 and 3600.0"),
            ("steps", "0", "steps: must lie between 1 and 1000, got 0"),
            ("steps", "1001", "steps: must lie between 1 and 1000, got 1001"),
            ("seed", "-1", "seed: must lie between 0 and 9223372036854775807, got -1"),
            ("seed", str(2**63), f"seed: must lie between 0 and {2**63 - 1}, got {2**63}"),
            ("guidance", "nan", "guidance: must be a finite number between 0 and 100.0, got nan"),
            ("guidance", "-1", "guidance: must lie between 0 and 100.0, got -1.0"),
            ("n", "0", "n: must lie between 1 and 10000, got 0"),
            ("candidates", "0", "candidates: must lie between 1 and 64, got 0"),
            ("candidates", "65", "candidates: must lie between 1 and 64, got 65"),
            ("index", "-1", "index: must lie between 0 and"),
            ("eta", "0.5", "eta is a setting of ddim; dpm++ takes none"),
            ("sampler", "ddmi", ["'ddmi' is unknown; allowed: ddim, ddpm", "mean 'ddim'?"]),
            ("spacing", "karas", ["'karas' is unknown; allowed: uniform", "mean 'karras'?"]),
            ("format", "wave", ["'wave'; allowed: wav, flac, ogg, mp3", "mean 'wav'?"]),
            ("device", "gpu", ["device 'gpu' cannot be used here", "cpu, cuda"]),
            ("device", "meta", "device 'meta' cannot be used here"),
            ("device", "cuda:99", "device 'cuda:99' cannot be used here"),
        ],
    )
    def test_what_is_allowed_is_named(self, generate, refused, option, value, says):
        refused(generate, "rain", f"--{option}" if option != "n" else "-n", value, says=says)


class TestModels:
    def test_no_such_name(self, run, refused):
        says = ["there is no model 'tinny'", "hub id (owner/name)", "Did you mean 'tiny'?"]
        refused(run, "generate", "rain", "--model", "tinny", says=says)

    def test_no_such_folder(self, run, refused, tmp_path):
        (tmp_path / "models" / "mine").mkdir(parents=True)
        for name in ("./models/mien", "models/mien"):  # the second could be on the hub
            says = [f"'{name}'", "Nearest there: mine."]
            refused(run, "generate", "rain", "--model", name, says=says)

    def test_the_hub_out_of_reach(self, run, refused):
        says = ["'nobody/nothing' could not be fetched from the Hugging Face hub", "'tiny'"]
        refused(run, "generate", "rain", "--model", "nobody/nothing", says=says)

    def test_a_checkpoint_file(self, run, refused, tmp_path):
        (tmp_path / "audioldm-s.ckpt").write_bytes(b"PK\x03\x04")
        says = "audioldm-s.ckpt is truncated or no torch file (File is not a zip file)"
        refused(run, "generate", "rain", "--model", "audioldm-s.ckpt", says=says)

    def test_a_folder_that_is_none(self, run, refused, tmp_path):
        (tmp_path / "runs" / "model").mkdir(parents=True)
        (tmp_path / "runs" / "model" / "model_index.json").write_text("{}")
        says = "the folder runs holds no model: it has no model_index.json; there is one in model"
        refused(run, "generate", "rain", "--model", "runs", says=says)


class TestDamagedModels:
    @pytest.fixture
    def model(self, micro_model_folder, tmp_path):
        """A copy of the micro model, to be damaged."""
        return shutil.copytree(micro_model_folder, tmp_path / "model")

    @pytest.mark.parametrize(
        ("file", "text", "says"),
        [
            ("unet/config.json", "{", "unet/config.json is not valid JSON"),
            ("vae/config.json", "[]", "vae/config.json is not a JSON object but a list"),
            ("vae/config.json", "[" * 100_000, "vae/config.json is not valid JSON"),
            ("vocoder/config.json", "{}", "vocoder/config.json has no 'model_in_dim'"),
            ("scheduler/scheduler_config.json", "", "scheduler_config.json is not valid JSON"),
            ("latentfoley.json", '{"mel": {"hop": 1}}', "unknown key 'hop' in [mel]; allowed: "),
            ("latentfoley.json", '{"mel": {"hop_length": 0}}', "hop_length: Input should be great"),
            ("text_encoder/config.json", "{", "text_encoder/config.json is not valid JSON"),
            ("text_encoder/config.json", "[]", "config.json is not a JSON object but a list"),
            ("tokenizer/tokenizer.json", "{", "model/tokenizer cannot be loaded: "),
        ],
    )
    def test_a_broken_description(self, generate, refused, model, file, text, says):
        (model / file).write_text(text)
        refused(generate, "rain", "--model", "model", says=says)

    @pytest.mark.parametrize("part", WEIGHTS)
    def test_truncated_weights(self, generate, refused, model, part):
        path = model / part / WEIGHTS[part]
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        refused(generate, "rain", "--model", "model", says=[f"model/{part}", "incomplete metadata"])

    @pytest.mark.parametrize("part", WEIGHTS)
    def test_a_missing_tensor(self, generate, refused, model, part):
        path = model / part / WEIGHTS[part]
        weights = load_file(path)
        lost = min(weights)
        del weights[lost]
        save_file(weights, path, metadata={"format": "pt"})
        refused(generate, "rain", "--model", "model", says=[f"model/{part}", lost])

    @pytest.mark.parametrize("part", ["unet", "scheduler", "tokenizer"])
    def test_a_missing_part(self, generate, refused, model, part):
        shutil.rmtree(model / part)
        says = [f"model/{part}", "is missing", "not a complete model folder"]
        refused(generate, "rain", "--model", "model", says=says)

    def test_parts_that_were_not_made_for_each_other(self, generate, refused, model):
        about = json.loads((model / "latentfoley.json").read_text())
        about["mel"]["sample_rate"] = 8000
        (model / "latentfoley.json").write_text(json.dumps(about))
        says = "parts of model do not fit together: sample rates of the front end and vocoder: 8000"
        refused(generate, "rain", "--model", "model", says=says)

    @pytest.mark.parametrize("words", [["rain", "--candidates", 2], ["--audio-prompt", "tone.wav"]])
    def test_without_an_audio_tower(self, generate, refused, model, tmp_path, words):
        soundfile.write(tmp_path / "tone.wav", tone(), 16_000)
        shutil.rmtree(model / "audio_encoder")
        says = "model has no CLAP audio tower (audio_encoder/): guiding by a recording and ranking"
        refused(generate, *words, "--model", "model", says=says)


class TestLike:
    def test_no_such_file(self, generate, refused, tmp_path):
        soundfile.write(tmp_path / "dog.wav", tone(), 16_000)
        says = "there is no file 'dgo.wav'. Nearest there: dog.wav."
        refused(generate, "--audio-prompt", "dgo.wav", says=says)

    def test_a_folder(self, generate, refused):
        refused(generate, "--audio-prompt", ".", says="'.' is a folder; give one recording")

    def test_a_text(self, generate, refused, tmp_path):
        (tmp_path / "a.wav").write_text("hello")
        says = ["'a.wav' is not a recording", "Allowed: WAV"]
        refused(generate, "--audio-prompt", "a.wav", says=says)

    def test_a_truncated_one(self, generate, refused, tmp_path):
        soundfile.write(tmp_path / "a.wav", tone(), 16_000)
        (tmp_path / "a.wav").write_bytes((tmp_path / "a.wav").read_bytes()[:5000])
        refused(generate, "--audio-prompt", "a.wav", says="'a.wav' is cut short")

    @pytest.mark.parametrize(
        ("promised", "says"),
        [(20_000, "20,000 samples are promised, 16,000 can be"), (2**35, "allowed: 3600 s")],
    )
    def test_a_header_that_lies(self, generate, refused, tmp_path, promised, says):
        soundfile.write(tmp_path / "a.flac", tone(), 16_000)
        data = bytearray((tmp_path / "a.flac").read_bytes())
        # STREAMINFO: the lower 36 of the 64 bits from byte 18 on count the samples.
        packed = int.from_bytes(data[18:26], "big")
        assert packed % 2**36 == 16_000
        data[18:26] = (packed - 16_000 + promised).to_bytes(8, "big")
        (tmp_path / "a.flac").write_bytes(data)
        refused(generate, "--audio-prompt", "a.flac", says=["'a.flac'", says])

    @pytest.mark.parametrize(
        ("samples", "says"),
        [
            (np.zeros(16_000), "a.wav is silent: its peak is 0.0e+00; allowed: above 1e-04"),
            (np.full(16_000, np.nan), "'a.wav' holds NaN or infinite samples, the first at 0 s"),
            (np.full(16_000, np.inf), "'a.wav' holds NaN or infinite samples, the first at 0 s"),
            (np.ones(1), "a.wav is too short: 1 samples; allowed: 160 or more"),
            (np.ones(0), "'a.wav' holds no samples"),
        ],
        ids=["silence", "nan", "inf", "one", "none"],
    )
    def test_samples_that_are_no_sound(self, generate, refused, tmp_path, samples, says):
        soundfile.write(tmp_path / "a.wav", samples.astype(np.float32), 16_000, subtype="FLOAT")
        refused(generate, "--audio-prompt", "a.wav", says=says)


class TestOut:
    @pytest.fixture(autouse=True)
    def nothing_is_loaded(self, monkeypatch):
        """The place is looked at before the work, not after it."""
        monkeypatch.setattr("latentfoley.loading.load", None)

    @pytest.mark.parametrize("out", ["notes", "notes/in/it", "notes/a.wav"])
    def test_a_file(self, generate, refused, tmp_path, out):
        (tmp_path / "notes").write_text("mine")
        says = "'notes' is a file; give -o a folder, or one file's name that ends in wav, flac"
        refused(generate, "rain", "-o", out, says=says)
        assert (tmp_path / "notes").read_text() == "mine"

    def test_no_permission(self, generate, refused, monkeypatch, tmp_path):
        (tmp_path / "theirs").mkdir()
        monkeypatch.setattr(os, "access", lambda place, _mode: Path(place).name != "theirs")
        says = "'theirs' cannot be written to: no permission"
        refused(generate, "rain", "-o", "theirs/deeper", says=says)

    def test_a_name_that_is_too_long(self, generate, refused):
        refused(generate, "rain", "-o", "a" * 300, says="cannot be written to: File name too long")

    @pytest.mark.parametrize("name", ["a.aiff", "a.m4a", "a.opus"])
    def test_a_format_that_is_not_written(self, generate, refused, name):
        says = f"'{name}' cannot be written; allowed: wav, flac, ogg, mp3"
        refused(generate, "rain", "-o", name, says=says)

    def test_two_formats(self, generate, refused):
        says = "'a.wav' and --format mp3 do not agree"
        refused(generate, "rain", "-o", "a.wav", "--format", "mp3", says=says)

    def test_one_file_for_many_clips(self, generate, refused):
        says = "4 clips do not fit in one file; give -o a folder"
        refused(generate, "rain", "sea", "-n", 2, "-o", "a.wav", says=says)


class TestDisk:
    """What no other arguments would mend: exit code 1, one sentence, nothing left."""

    @pytest.fixture
    def failed(self, generate, tmp_path):
        def failed(*words, says):
            end = generate("rain", *words)
            assert (end.code, end.out) == (1, "")
            assert end.err == f"error: {says}\n"
            assert [path for path in tmp_path.rglob("*") if path.is_file()] == []

        return failed

    def test_full(self, failed, monkeypatch):
        def full(*_args):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr("latentfoley.audio.write_atomically", full)
        failed(says="'out/000-rain.wav' cannot be written: No space left on device")

    def test_full_in_the_middle(self, failed, monkeypatch):
        def fail(*_args):
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        monkeypatch.setattr(os, "fsync", fail)
        failed("-o", "a.wav", says="'a.wav' cannot be written: Input/output error")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
class TestPipes:
    """A pipe in place of a file is named as one; it is neither waited for nor replaced."""

    @pytest.mark.parametrize(
        ("words", "name", "says"),
        [
            (["--from", "p.csv"], "p.csv", "there is no file 'p.csv'. What is there is a device"),
            (["rain", "-o", "p.wav"], "p.wav", "'p.wav' is a device or a pipe; give the name of"),
            (["rain", "--page", "p.html"], "p.html", "'p.html' is a device or a pipe; give the"),
            (["--audio-prompt", "p.wav"], "p.wav", "'p.wav' is a device or a pipe; give a file"),
        ],
    )
    def test_of_generate(self, generate, refused, tmp_path, words, name, says):
        os.mkfifo(tmp_path / name)
        refused(generate, *words, says=says)
        assert (tmp_path / name).is_fifo()

    @pytest.mark.parametrize(
        "words",
        [
            ["batch", "p.jsonl", "--out", "out"],
            ["train", "diffusion", "p.jsonl"],
            ["evaluate", "p.jsonl", "p.jsonl"],
        ],
    )
    def test_of_others(self, run, refused, tmp_path, words):
        os.mkfifo(tmp_path / "p.jsonl")
        refused(run, *words, says="What is there is a device or a pipe.")

    def test_in_a_model(self, generate, refused, micro_model_folder, tmp_path):
        model = shutil.copytree(micro_model_folder, tmp_path / "model")
        (model / "tokenizer" / "tokenizer.json").unlink()
        os.mkfifo(model / "tokenizer" / "tokenizer.json")
        refused(
            generate,
            "rain",
            "--model",
            "model",
            says="tokenizer.json is missing, a device or a pipe",
        )


class TestInUse:
    """A second process on one output or data set is told so, and touches nothing."""

    @pytest.mark.parametrize(
        ("words", "place"),
        [
            (["generate", "rain", "-o", "there"], "there"),
            (["generate", "rain", "-o", "a.wav"], "a.wav"),
            (["data", "prepare", ".", "there"], "there"),
        ],
    )
    def test_it_is_refused(self, run, refused, tmp_path, words, place):
        soundfile.write(tmp_path / "tone.wav", tone(), 16_000)
        with locked(tmp_path / place, "test"):
            refused(run, *words, says=[f"'{place}' is in use by process {os.getpid()} "])
