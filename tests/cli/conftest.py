"""Commands as a user types them, run in this process and in an empty folder."""

import sys
from typing import NamedTuple

import pytest

from latentfoley.cli import main


class Ending(NamedTuple):
    """What a command leaves behind besides files."""

    code: int
    out: str
    err: str


@pytest.fixture
def run(monkeypatch, capsys, tmp_path, tmp_path_factory):
    """Return a function that runs `latentfoley WORDS…` in `tmp_path`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "300")  # messages in frames stay on one line
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)

    def run(*words) -> Ending:
        monkeypatch.setattr(sys, "argv", ["latentfoley", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        return Ending(end.value.code, *capsys.readouterr())

    return run


@pytest.fixture
def generate(run, micro_model_folder):
    """Return a function that runs `latentfoley generate WORDS…` on the micro model, quickly."""
    quickly = ("--steps", 2, "--duration", 0.2, "--model", micro_model_folder)
    return lambda *words: run("generate", *quickly, *words)


@pytest.fixture
def refused(tmp_path):
    """Return a function that checks how a mistake of the user is answered.

    Exit code 2, every part of the answer on stderr, no traceback, and nothing written.
    """
    before: set | None = None

    def files():
        return set(tmp_path.rglob("*"))

    def refused(run, *words, says):
        nonlocal before
        before = files()
        end = run(*words)
        assert end.code == 2, end
        assert end.out == ""
        assert "Traceback" not in end.err
        answer = " ".join(end.err.replace("│", " ").split())
        for part in [says] if isinstance(says, str) else says:
            assert part in answer
        assert files() == before
        return answer

    return refused
