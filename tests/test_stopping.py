"""Ctrl-C and SIGTERM: the exit code, one line, nothing half-written, no process left."""

import os
import signal
import subprocess
import sys
from contextlib import suppress

import psutil
import pytest

from folders import sound
from signals import noise

HEAD = """
import hashlib, sys, time
from pathlib import Path
from latentfoley.files import aside
from latentfoley.stopping import stoppable
with stoppable():
"""
SLEEPING = 'print("ready", flush=True); time.sleep(300)'
COMPUTING = """
    with aside(Path(sys.argv[1])) as part:
        part.write_text("half")
        print("ready", flush=True)
        hashlib.pbkdf2_hmac("sha256", b"", b"", 10**9)  # many minutes in compiled code
"""
TIDYING = """
    try:
        print("ready", flush=True); time.sleep(300)
    finally:
        print("ready", flush=True); time.sleep(0.5); print("tidy")
"""

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}


def start(*words, interrupt=signal.default_int_handler, **options):
    """Start Python in a session of its own, as a terminal does."""
    return subprocess.Popen(
        [sys.executable, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, interrupt),
        **options,
    )


def processes_of(session):
    return [one for one in psutil.process_iter() if sid(one) == session]


def sid(process):
    with suppress(ProcessLookupError):
        return os.getsid(process.pid)
    return None


@pytest.mark.parametrize("number", CODES)
@pytest.mark.parametrize("block", [SLEEPING, COMPUTING], ids=["asleep", "in compiled code"])
def test_a_signal_ends_it(tmp_path, number, block):
    process = start("-c", HEAD + "    " + block, tmp_path / "whole")
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    assert process.communicate(timeout=60) == ("", "")
    assert process.returncode == CODES[number]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", CODES)
def test_code_that_is_compiled_from_a_string_is_interrupted(tmp_path, number):
    block = f"    exec({SLEEPING!r})\n"
    (tmp_path / "module.py").write_text(HEAD + block, encoding="utf-8")
    process = start("-m", "module", cwd=tmp_path)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    assert process.communicate(timeout=60) == ("", "")
    assert process.returncode == CODES[number]


def test_later_signals_do_not_interrupt_what_the_first_began():
    process = start("-c", HEAD + TIDYING)
    for number in (signal.SIGINT, signal.SIGINT):
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=60) == ("tidy\n", "")
    assert process.returncode == 130


def test_what_was_to_be_ignored_is(tmp_path):
    process = start("-c", HEAD + "    " + SLEEPING, interrupt=signal.SIG_IGN)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 143


@pytest.mark.parametrize("number", CODES)
@pytest.mark.parametrize("workers", [1, 2])
def test_a_command_with_workers(tmp_path, number, workers):
    for k in range(200):
        sound(tmp_path / f"in/{k:03d}.wav", noise(2, seed=k))
    words = ("data", "prepare", "in", "out", "--per-shard", 1, "--workers", workers)
    process = start("-m", "latentfoley", *words, cwd=tmp_path)
    while process.poll() is None and not list(tmp_path.glob("out/records/*.json")):
        pass
    os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
    said = "stopped; what is written is whole, and the same command resumes\n"
    assert process.communicate(timeout=60) == ("", said)
    assert process.returncode == CODES[number]
    left = psutil.wait_procs(processes_of(process.pid), timeout=20)[1]
    assert left == []  # multiprocessing's own helper ends by itself
    assert list(tmp_path.rglob("*.part")) == []
    assert not list(tmp_path.glob("out/manifest.jsonl"))


@pytest.mark.parametrize("number", CODES)
def test_a_command_that_keeps_nothing(tmp_path, number):
    sound(tmp_path / "in/a.wav", noise(2))
    program = (  # measures one recording again and again, so that only the signal ends it
        "import latentfoley.data.scan as s\n"
        "measure = s.measure\n"
        "def endless(path):\n"
        "    print('ready', flush=True)\n"
        "    while True: measure(path)\n"
        "s.measure = endless\n"
        "from latentfoley.__main__ import main\nmain()\n"
    )
    process = start("-c", program, "data", "scan", "in", "--workers", 1, cwd=tmp_path)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    assert process.communicate(timeout=60)[1] == "stopped; what is written is whole\n"
    assert process.returncode == CODES[number]
