"""Ctrl-C and SIGTERM at random moments of five commands → interrupts.json.

    python benchmarks/interrupts.py [--tries 10]

Every command is first run to its end, and then, from the moment that it listens to signals, stopped
at random times within that duration. Ctrl-C reaches all processes of a terminal, SIGTERM the one
that was started. Counted are the seconds from the signal to the end, exit codes other than 130 and
143, words other than the one line that says what is kept, files half-written, and processes that
are left. Linux.
"""

import argparse
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import soundfile

RESULT = Path(__file__).with_name("interrupts.json")
N_RECORDINGS, RATE = 100, 44_100
SAID = re.compile(r"(stopped; [^\n]+\n)?")
COMMANDS = {
    "scan": "data scan recordings --workers 2 --json",
    "prepare": "data prepare recordings new --workers 2 --per-shard 10",
    "encode": "data encode prepared new --workers 2 --batch-size 4",
    "evaluate": "evaluate recordings others --json new/scores.json",
    "generate": "generate rain -n 4 --duration 2 --steps 10 -o new",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tries", type=int, default=10, help="of each command and signal")
    tries = parser.parse_args().tries
    with tempfile.TemporaryDirectory() as place:
        prepare(Path(place))
        found = {
            name: measure(Path(place), words.split(), tries) for name, words in COMMANDS.items()
        }
    RESULT.write_text(json.dumps({"tries": tries, "commands": found}, indent=2) + "\n")
    print(RESULT.read_text())


def prepare(place: Path) -> None:
    """Write recordings of noise, and a data set of the first of them."""
    rng = np.random.default_rng(0)
    for k in range(N_RECORDINGS):
        folder = place / ("recordings" if k % 4 else "others")
        folder.mkdir(exist_ok=True)
        sound = rng.uniform(-0.5, 0.5, (5 * RATE, 2))
        soundfile.write(folder / f"{k:03d}.wav", sound, RATE)
    end(start(place, ["data", "prepare", "others", "prepared", "--per-shard", "5"]))


def measure(place: Path, words: list[str], tries: int) -> dict[str, dict[str, object]]:
    """Return what was counted, by signal."""
    began = time.monotonic()
    process = start(place, words)
    wait_until_it_listens(process)
    starting_s = time.monotonic() - began
    end(process)
    duration_s = time.monotonic() - began - starting_s
    found = {
        number.name: count([stop(place, words, number, duration_s) for _ in range(tries)])
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    print(words, found, file=sys.stderr)
    return found


def start(place: Path, words: list[str]) -> "subprocess.Popen[str]":
    shutil.rmtree(place / "new", ignore_errors=True)
    return subprocess.Popen(
        [sys.executable, "-m", "latentfoley", *words],
        cwd=place,
        env={**os.environ, "XDG_CACHE_HOME": str(place / "new/cache")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def end(process: "subprocess.Popen[str]") -> str:
    """Wait for a process, and return what it said."""
    return process.communicate(timeout=300)[1]


def wait_until_it_listens(process: "subprocess.Popen[str]") -> None:
    status = Path(f"/proc/{process.pid}/status")
    while process.poll() is None:
        caught = int(status.read_text().partition("SigCgt:")[2].split()[0], 16)
        if caught >> (signal.SIGTERM - 1) & 1:
            return
        time.sleep(0.001)


def stop(place: Path, words: list[str], number: int, duration_s: float) -> dict[str, object]:
    """Return what one signal did."""
    process = start(place, words)
    wait_until_it_listens(process)
    time.sleep(random.uniform(0, duration_s))
    if process.poll() is not None:  # it was faster than the first time
        end(process)
        return stop(place, words, number, duration_s)
    began = time.monotonic()
    if number == signal.SIGINT:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    said = end(process)
    left = [one for one in psutil.process_iter() if os.getsid(one.pid) == process.pid]
    return {
        "seconds": time.monotonic() - began,
        "code": process.returncode,
        "said": said,
        "parts": len(list(place.rglob("*.part"))),
        "left": [one.name() for one in psutil.wait_procs(left, timeout=1)[1] if is_alive(one)],
    }


def is_alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def count(stops: list[dict[str, object]]) -> dict[str, object]:
    # One that had finished may have warned of something.
    others = [one["said"] for one in stops if one["code"] and not SAID.fullmatch(one["said"])]
    for said in others:
        print(said, file=sys.stderr)
    seconds = sorted(one["seconds"] for one in stops)
    return {
        "median_s": round(seconds[len(seconds) // 2], 2),
        "longest_s": round(seconds[-1], 2),
        "other_codes": [one["code"] for one in stops if one["code"] not in (130, 143, 0)],
        "finished": sum(one["code"] == 0 for one in stops),
        "other_words": len(others),
        "parts": sum(one["parts"] for one in stops),
        "processes": [left for one in stops for left in one["left"]],
    }


if __name__ == "__main__":
    main()
