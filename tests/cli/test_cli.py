"""The command itself: help at once, exit codes, what is said when it fails or is stopped."""

import errno
import re
import subprocess
import sys

import pytest

import latentfoley
from latentfoley.cli.output import FORMATS
from latentfoley.clip import Clip
from latentfoley.errors import TrainingError
from latentfoley.samplers import SAMPLERS, SPACINGS

COMMANDS = [
    [],
    ["generate"],
    ["evaluate"],
    ["ablate"],
    ["serve"],
    ["ui"],
    ["info"],
    ["doctor"],
    ["data"],
    *(["data", step] for step in ("scan", "prepare", "encode")),
    ["train"],
    *(["train", part] for part in ("clap", "vae", "vocoder", "diffusion", "export")),
    ["models"],
    *(["models", part] for part in ("list", "info", "download", "convert", "export")),
]
LONG = "c" * 300  # a file system takes names of 255 bytes
HEAVY = ("torch", "transformers", "matplotlib", "soundfile", "huggingface_hub", "fastapi")


def python(*words):
    """Run Python as a user would, in a process of its own."""
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, timeout=60)


class TestHelp:
    @pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
    def test_of_every_command(self, run, command):
        end = run(*command, "--help")
        assert (end.code, end.err) == (0, "")
        assert f" {' '.join([*command, '[OPTIONS]'])}" in end.out

    def test_of_debug(self, run):
        assert "Show the traceback of an error." in run("--help").out

    def test_imports_nothing_heavy(self):
        program = (
            "import sys\n"
            "from latentfoley.cli import main\n"
            f"for words in {COMMANDS}:\n"
            "    sys.argv = ['latentfoley', *words, '--help']\n"
            "    try:\n"
            "        main()\n"
            "    except SystemExit as end:\n"
            "        assert end.code == 0, words\n"
            f"heavy = [name for name in {HEAVY} if name in sys.modules]\n"
            "sys.exit(f'imported: {heavy}' if heavy else 0)\n"
        )
        end = python("-c", program)
        assert (end.returncode, end.stderr) == (0, "")

    def test_every_sampler_spacing_and_format_is_in_it(self, run):
        words = set(re.findall(r"[\w+]+", run("generate", "--help").out))
        assert {*SAMPLERS, *SPACINGS, *FORMATS} <= words


class TestProcess:
    """As processes, where the exit code is what the shell sees."""

    def test_nothing_is_imported_that_makes_the_first_clip_late(self, micro_model_folder, tmp_path):
        late = ["transformers", "torch._dynamo", "sympy", "scipy", "matplotlib"]
        words = [
            "generate",
            "rain",
            "-m",
            str(micro_model_folder),
            "--duration",
            "0.2",
            "--steps",
            "1",
        ]
        program = (
            "import sys\n"
            "from latentfoley.cli import main\n"
            f"sys.argv = ['latentfoley', *{words!r}, '-o', {str(tmp_path / 'a.wav')!r}]\n"
            "try:\n"
            "    main()\n"
            "except SystemExit as end:\n"
            "    assert not end.code, end.code\n"
            f"found = [name for name in {late} if name in sys.modules]\n"
            "sys.exit(f'imported: {found}' if found else 0)\n"
        )
        end = python("-c", program)
        assert (end.returncode, end.stderr) == (0, "")
        assert (tmp_path / "a.wav").is_file()

    def test_the_version(self):
        end = python("-m", "latentfoley", "--version")
        assert (end.returncode, end.stdout) == (0, f"latentfoley {latentfoley.__version__}\n")

    def test_a_mistake_of_the_user(self, tmp_path):
        end = python("-m", "latentfoley", "info", tmp_path / "nothing.wav")
        assert (end.returncode, end.stdout) == (2, "")
        assert end.stderr == f"error: there is no file '{tmp_path / 'nothing.wav'}'.\n"

    def test_without_a_command_it_helps(self):
        end = python("-m", "latentfoley")
        assert end.returncode == 2
        assert "generate" in end.stdout


class TestWords:
    @pytest.mark.parametrize(
        ("words", "says"),
        [
            (["generat", "rain"], ["'generat'", "Did you mean 'generate'"]),
            (["train", "vea", "r.toml"], ["'vea'", "Did you mean 'vae'"]),
            (["generate", "rain", "--stpes", "3"], ["--stpes", "--steps"]),
            (["generate", "rain", "--steps", "many"], ["--steps", "integer"]),
            (["generate", "rain", "--duration"], ["--duration", "requires an argument"]),
            (["--debug"], "Missing command"),
            (["info"], "Missing argument 'files'"),
            (["train", "vae"], "Missing argument 'recipe'"),
        ],
    )
    def test_what_is_no_command_or_option(self, run, refused, words, says):
        refused(run, *words, says=says)


class TestOurFaults:
    @pytest.fixture
    def broken(self, monkeypatch):
        """A fault in our own code, behind every way to generate."""

        def fail(*_args, **_options):
            raise RuntimeError("the flux [capacitor] is empty")

        monkeypatch.setattr("latentfoley.loading.load", fail)

    def test_the_code_is_1_and_the_way_on_is_shown(self, run, broken):
        end = run("generate", "rain")
        assert (end.code, end.out) == (1, "")
        assert end.err == (
            "error: RuntimeError: the flux [capacitor] is empty\n"
            "This is a fault of ours; --debug shows where.\n"
        )

    @pytest.mark.parametrize(
        "words", [["--debug", "generate", "rain"], ["generate", "rain", "--debug"]]
    )
    def test_debug_shows_where(self, run, broken, words):
        end = run(*words)
        assert end.code == 1
        assert end.err.startswith("Traceback (most recent call last)")
        assert "in fail" in end.err

    def test_debug_keeps_the_code_of_a_mistake(self, run):
        end = run("info", "nothing.wav", "--debug")
        assert end.code == 2
        assert "Traceback" in end.err
        assert end.err.endswith("error: there is no file 'nothing.wav'.\n")

    def test_a_training_that_failed_is_no_fault_of_ours(self, run, monkeypatch):
        def fail(*_args, **_options):
            raise TrainingError("l1 became nan at step 7")

        monkeypatch.setattr("latentfoley.recipes.read_recipe", fail)
        end = run("train", "vae", "recipe.toml", "--device", "cpu")
        assert (end.code, end.err) == (1, "error: l1 became nan at step 7\n")


class TestTheSystemRefuses:
    """An error of the operating system is one sentence, and not called a fault of ours."""

    @pytest.mark.parametrize(
        ("error", "code"),
        [
            (OSError(errno.ENOSPC, "No space left on device", "out/a.wav"), 1),
            (OSError(errno.EIO, "Input/output error", "a.wav"), 1),
            (OSError(errno.ENAMETOOLONG, "File name too long", "ccc"), 2),
            (PermissionError(errno.EACCES, "Permission denied", "out"), 2),
        ],
    )
    def test_one_sentence(self, run, monkeypatch, error, code):
        def fail(*_arguments, **_options):
            raise error

        monkeypatch.setattr("latentfoley.request.GenerationRequest.build", fail)
        end = run("generate", "rain")
        assert (end.code, end.err) == (code, f"error: '{error.filename}': {error.strerror}\n")

    @pytest.mark.parametrize(
        "words",
        [
            ["generate", "x", "-o", f"{LONG}.wav"],
            ["generate", "--from", f"{LONG}.csv"],
            ["generate", "x", "-m", LONG],
            ["generate", "x", "--lora", LONG],
            ["data", "scan", LONG],
            ["data", "prepare", LONG, "out"],
            ["data", "encode", LONG, "out"],
            ["evaluate", LONG, LONG],
            ["train", "diffusion", f"{LONG}.toml"],
            ["train", "report", LONG],
            ["models", "info", LONG],
            ["ablate", f"{LONG}.toml", "-o", "out"],
            ["edit", "vary", f"{LONG}.wav"],
            ["info", f"{LONG}.wav"],
        ],
        ids=lambda words: "-".join(words[:2])[:20],
    )
    def test_a_name_that_is_too_long(self, run, words):
        end = run(*words)
        assert end.code == 2, end
        assert "fault of ours" not in end.err


class TestCtrlC:
    def test_in_a_command(self, generate, monkeypatch, tmp_path):
        save = Clip.save

        def save_twice(clip, path):
            if clip.provenance.index == 2:
                raise KeyboardInterrupt
            return save(clip, path)

        monkeypatch.setattr(Clip, "save", save_twice)
        end = generate("rain", "-n", 4)
        assert end.code == 130
        assert end.err == (
            "stopped; 2 of 4 files are written, each of them whole; "
            "the same command makes the same sounds again\n"
        )
        assert sorted(file.name for file in (tmp_path / "out").iterdir()) == [
            "000-rain.wav",
            "001-rain.wav",
        ]
