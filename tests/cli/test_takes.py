"""`--page`: one file with every take; `--quiet`; the bar; completion."""

import base64
import os
import re
import shutil
import subprocess
import sys

import pytest

from latentfoley.cli import options
from latentfoley.editing.request import SETTINGS
from latentfoley.progress import no_bar, progress_bar
from latentfoley.samplers import SAMPLERS, SPACINGS

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")


def inside(page):
    """Return the media types and bytes of what a page holds."""
    found = re.findall(r'src="data:([\w/+]+);base64,([^"]+)"', page)
    return [(kind, base64.b64decode(data)) for kind, data in found]


class TestPage:
    @pytest.mark.parametrize(
        ("format_", "kind"), [("wav", "audio/wav"), ("ogg", "audio/ogg"), ("mp3", "audio/mpeg")]
    )
    def test_it_holds_every_file_its_picture_and_its_command(
        self, run, generate, tmp_path, format_, kind
    ):
        end = generate("rain <b>", "a dog", "--page", "takes.html", "--format", format_)
        page = (tmp_path / "takes.html").read_text()
        files = sorted((tmp_path / "out").iterdir())
        assert [data for media, data in inside(page) if media == kind] == [
            file.read_bytes() for file in files
        ]
        assert sum(media == "image/png" for media, _ in inside(page)) == 2
        assert "rain &lt;b&gt;" in page
        assert page.count("latentfoley generate") == 4  # as code, and in the table
        assert 'name="viewport"' in page
        assert re.findall(r'(?:src|href)="(?!data:)', page) == []
        for line in end.out.splitlines():
            assert line.partition("  ")[2] in page

    def test_of_an_edit(self, run, micro_model_folder, recordings, tmp_path):
        words = ("--strength", 0.2, "--steps", 2, "--model", micro_model_folder, "--page", "a.html")
        assert run("edit", "vary", recordings.parent / "tone.wav", *words).code == 0
        page = (tmp_path / "a.html").read_text()
        assert "latentfoley edit vary tone.wav" in page
        assert [media for media, _ in inside(page)] == ["audio/wav", "image/png"]

    @pytest.mark.parametrize("name", ["takes.wav", "out"])
    def test_a_name_that_is_no_page_is_refused_before_the_work(
        self, generate, refused, tmp_path, name
    ):
        (tmp_path / "out").mkdir()
        refused(generate, "rain", "--page", name, says=f"'{name}'")

    @pytest.mark.browser
    @pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium; CHROMIUM can name one")
    def test_in_a_browser(self, generate, tmp_path):
        playwright = pytest.importorskip("playwright.sync_api")
        assert generate("rain", "c" * 300, "--page", "takes.html").code == 0
        with playwright.sync_playwright() as started:
            browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 390, "height": 800}, color_scheme="dark")
            page.goto((tmp_path / "takes.html").as_uri())
            page.wait_for_function("[...document.querySelectorAll('audio')].every(a => a.duration)")
            lengths = "[...document.querySelectorAll('audio')].map(a => a.duration)"
            assert page.evaluate(lengths) == pytest.approx([0.2, 0.2], abs=0.01)
            assert page.evaluate("document.documentElement.scrollWidth") <= 390
            background = "getComputedStyle(document.documentElement).colorScheme"
            assert "dark" in page.evaluate(background)
            browser.close()


class TestQuiet:
    def test_nothing_is_said_and_all_is_written(self, generate, tmp_path):
        assert generate("rain", "--quiet", "-o", "a.wav") == (0, "", "")
        assert (tmp_path / "a.wav").exists()

    def test_warnings_stay(self, generate, monkeypatch):
        monkeypatch.setattr("latentfoley.levels.FAINT_LUFS", 0.0)
        assert "nearly silent" in generate("rain", "-q", "-o", "a.wav").err


class TestBar:
    """On a terminal, which a pseudo-terminal stands for."""

    PROGRAM = (
        "from latentfoley.progress import no_bar, progress_bar\n"
        "with progress_bar('working') as progress:\n"
        "    progress(1, 2)\n"
        "    with no_bar():\n"
        "        print('a/path.wav', flush=True)\n"
        "    progress(2, 2)\n"
    )

    @pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
    def test_a_path_stands_on_a_line_of_its_own_and_on_stdout(self):
        import pty

        ours, theirs = pty.openpty()
        process = subprocess.run(
            [sys.executable, "-c", self.PROGRAM],
            stdout=subprocess.PIPE,
            stderr=theirs,
            env=os.environ | {"TERM": "xterm", "COLUMNS": "80"},
            timeout=60,
            check=True,
        )
        os.close(theirs)
        drawn = os.read(ours, 1 << 16).decode()
        os.close(ours)
        assert process.stdout == b"a/path.wav\n"
        assert "a/path.wav" not in drawn
        assert "working" in drawn

    @pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
    def test_the_bar_is_cleared_before_it(self):
        import pty

        ours, theirs = pty.openpty()
        subprocess.run(
            [sys.executable, "-c", self.PROGRAM],
            stdout=theirs,
            stderr=theirs,
            env=os.environ | {"TERM": "xterm", "COLUMNS": "80"},
            timeout=60,
            check=True,
        )
        os.close(theirs)
        before, _, after = os.read(ours, 1 << 16).decode().partition("a/path.wav")
        os.close(ours)
        assert "working" in before
        assert before.endswith("\x1b[2K")  # erase the line
        assert after.startswith("\r\n")

    def test_without_a_terminal_nothing_is_drawn(self, capsys):
        with progress_bar("working") as progress:
            progress(1, 2)
            with no_bar():
                pass
        assert capsys.readouterr() == ("", "")


class TestCompletion:
    @pytest.mark.parametrize(
        ("words", "offers"),
        [
            ("latentfoley gen", {"generate"}),
            ("latentfoley generate --sampler dp", {"dpm++", "dpm++sde"}),
            ("latentfoley generate --norm", {"--normalise"}),
            ("latentfoley edit in", {"inpaint"}),
        ],
    )
    @pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
    def test_what_a_shell_is_offered(self, shell, words, offers):
        asked = {
            "_LATENTFOLEY_COMPLETE": f"complete_{shell}",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split()) - 1),
            "_TYPER_COMPLETE_ARGS": words,
            "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        }
        program = "import sys; sys.argv = ['latentfoley']; from latentfoley.cli import main; main()"
        end = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            env=os.environ | asked,
            timeout=60,
        )
        assert end.stderr == ""
        assert offers <= set(re.findall(r"[\w+-]+", end.stdout))
        assert "heun" not in end.stdout

    def test_every_name_is_among_them(self):
        assert tuple(SAMPLERS) == options.SAMPLER_NAMES
        assert tuple(SPACINGS) == options.SPACING_NAMES
        assert tuple(SETTINGS) == options.EDITS
