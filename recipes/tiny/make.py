"""Train the embedded model, from recordings to folder: `python recipes/tiny/make.py`.

It trains in `runs/tiny` of the current folder. CLAP begins with ESC-10 and Sonic Pi (`first.py`),
everything else is trained on all recordings and kinds of `kinds.toml` (`recordings.py`). Every
stage resumes where it was stopped, and one that is done is passed over; the seconds of each are
appended to `times.jsonl` beside the runs. `--rehearse`, in a folder of its own, makes two steps of
everything.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from latentfoley.data.metadata import Entry, read_manifest, write_manifest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
RUNS = Path("runs/tiny")
MANIFESTS = {"first": HERE / "first.py", "manifest": HERE / "recordings.py"}
TRAININGS = ("clap-1", "clap-2", "clap-3", "clap-4", "vae", "vocoder")  # before the denoiser
# How often recordings are encoded, by kind or else by folder: those of ESC are few, and the sounds
# that a first denoiser missed came too seldom.
MISSED = (
    *("car_horn", "cat", "church_bells", "coughing", "door_wood_creaks"),
    *("hen", "laughing", "mouse_click", "sheep", "water_drops"),
)
TIMES = {"esc10": 3, "esc50": 3} | dict.fromkeys(MISSED, 6)
REHEARSED = 40  # recordings of a rehearsal, evenly from all
Stage = tuple[str, list[str | Path]]


@dataclass(frozen=True)
class Plan:
    """What is trained on which device, and whether only a rehearsal."""

    data: Path
    device: str | None
    rehearsal: bool

    def command(self, *words: str | Path, on_device: bool = True) -> list[str | Path]:
        """Return a command of this installation."""
        device = ["--device", self.device] if self.device and on_device else []
        return [sys.executable, "-m", "latentfoley", *words, *device]

    def training(self, name: str) -> Stage:
        """Return the stage of one recipe."""
        settings = [] if name == "diffusion" else [f"data.folder={self.data}"]
        settings += ["run.steps=2", "run.batch_size=4"] if self.rehearsal else []
        words = [word for setting in settings for word in ("--set", setting)]
        recipe = HERE / f"{name}.toml"
        return name, self.command("train", name.partition("-")[0], recipe, *words)

    def script(self, name: Path, *words: str | Path) -> list[str | Path]:
        """Return a command of this repository."""
        return [sys.executable, name, *words]

    def stages(self) -> Iterator[Stage]:
        """Yield the stages after the manifests, in order, each with its command."""
        yield from map(self.training, TRAININGS)
        vae, clap = (RUNS / name / "model" for name in ("vae", "clap"))
        prepared, latents, out = (RUNS / name for name in ("prepared", "latents", "model"))
        words: list[str | Path] = ["--captions", RUNS / "balanced.jsonl", "--held-out", "0"]
        words += [RUNS / "recordings", prepared, "--per-shard", "600"]
        yield "prepare", self.command("data", "prepare", *words, on_device=False)
        words = ["--vae", vae, "--clap", clap, "--duration", "4.8"]
        words += ["--mixes", "0.1", "--variations", "2"]
        yield "encode", self.command("data", "encode", prepared, latents, *words)
        yield self.training("diffusion")
        if not out.exists():
            words = ["train", "export", RUNS / "diffusion", out, "--half"]
            yield "export", self.command(*words, on_device=False)
        yield "loudness", self.script(HERE / "loudness.py", self.data, RUNS / "manifest.jsonl", out)
        words = ["--model", out, "--write", "--out", RUNS / "known.json"]
        yield "known kinds", self.script(ROOT / "benchmarks/tiny/known.py", *words)


def gather(entries: list[Entry], times: dict[str, int], data: Path, folder: Path) -> list[Entry]:
    """Link recordings into a folder of their own, so that no other is packed, some several times.

    Returns the entries of the links.
    """
    linked = []
    for entry in entries:
        often = times.get(entry.labels[0]) or times.get(entry.path.partition("/")[0], 1)
        copies = often if entry.split == "train" else 1
        for path in (Path(f"copy-{k}", entry.path) for k in range(copies)):
            link = folder / path
            link.parent.mkdir(parents=True, exist_ok=True)
            if not link.exists():
                link.symlink_to((data / entry.path).resolve())
            linked.append(entry.model_copy(update={"path": path.as_posix()}))
    return linked


def run(stage: Stage, times: Path) -> None:
    """Run a stage and note how long it took.

    Raises:
        SystemExit: it failed; its own message says why.
    """
    name, command = stage
    begun = time.monotonic()
    code = subprocess.run(command, check=False).returncode
    line = {"stage": name, "seconds": round(time.monotonic() - begun, 1), "exit_code": code}
    with times.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    if code:
        raise SystemExit(code)


def make(plan: Plan) -> None:
    """Run all stages of a plan."""
    times = RUNS / "times.jsonl"
    RUNS.mkdir(parents=True, exist_ok=True)
    for name, script in MANIFESTS.items():
        path = RUNS / f"{name}.jsonl"
        run((name, plan.script(script, plan.data, path)), times)
        if plan.rehearsal:
            some = read_manifest(path)
            write_manifest(path, some[:: max(1, len(some) // REHEARSED)])
    entries = read_manifest(RUNS / "manifest.jsonl")
    linked = gather(entries, TIMES, plan.data, RUNS / "recordings")
    write_manifest(RUNS / "balanced.jsonl", linked)
    for stage in plan.stages():
        run(stage, times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--device", help="cpu, cuda, mps; by default the fastest")
    parser.add_argument("--rehearse", action="store_true", help="two steps of everything")
    arguments = parser.parse_args()
    make(Plan(arguments.data, arguments.device, arguments.rehearse))


if __name__ == "__main__":
    main()
