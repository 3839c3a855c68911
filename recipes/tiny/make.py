"""Train the embedded model, from recordings to folder: `python recipes/tiny/make.py KINDS`.

KINDS is `ten` (ESC-10 and Sonic Pi: what the committed weights were trained on) or `fifty` (all
recordings and kinds of `kinds.toml`); the runs are in `runs/tiny` or `runs/fifty` of the current
folder. Every stage resumes where it was stopped, and one that is done is passed over; the seconds
of each are appended to `times.jsonl` beside the runs. `--rehearse`, in a folder of its own, makes
two steps of everything.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from latentfoley.data.metadata import read_manifest, write_manifest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
MANIFESTS = {"ten": HERE / "manifest.py", "fifty": HERE / "recordings.py"}
RECIPES = {"ten": HERE, "fifty": HERE / "fifty"}
TRAININGS = {
    "ten": ("vae-1", "vae-2", "clap-1", "clap-2", "vocoder"),
    "fifty": ("vae", "clap-1", "clap-2", "vocoder"),
}
REHEARSED = 40  # recordings of a rehearsal, evenly from all
Stage = tuple[str, list[str | Path]]


@dataclass(frozen=True)
class Plan:
    """What is trained, on which device, and whether only a rehearsal."""

    kinds: str
    device: str | None
    rehearsal: bool

    @property
    def runs(self) -> Path:
        """Return the folder where the recipes put their runs."""
        return Path("runs", "tiny" if self.kinds == "ten" else self.kinds)

    def command(self, *words: str | Path, on_device: bool = True) -> list[str | Path]:
        """Return a command of this installation."""
        device = ["--device", self.device] if self.device and on_device else []
        return [sys.executable, "-m", "latentfoley", *words, *device]

    def training(self, name: str) -> Stage:
        """Return the stage of one recipe."""
        recipe = RECIPES[self.kinds] / f"{name}.toml"
        less = ["--set", "run.steps=2", "--set", "run.batch_size=4"] if self.rehearsal else []
        return name, self.command("train", name.partition("-")[0], recipe, *less)

    def stages(self) -> Iterator[Stage]:
        """Yield the stages after the manifest, in order, each with its command."""
        yield from map(self.training, TRAININGS[self.kinds])
        prepared, latents, out = (self.runs / name for name in ("prepared", "latents", "model"))
        words: list[str | Path] = ["--captions", self.runs / "manifest.jsonl", "--held-out", "0"]
        words += [self.runs / "recordings", prepared, "--per-shard", "600"]
        yield "prepare", self.command("data", "prepare", *words, on_device=False)
        words = ["--vae", self.runs / "vae/model", "--clap", self.runs / "clap/model"]
        words += ["--duration", "4.8", "--mixes", "0.15", "--variations", "2"]
        yield "encode", self.command("data", "encode", prepared, latents, *words)
        yield self.training("diffusion")
        if not out.exists():
            words = ["train", "export", self.runs / "diffusion", out, "--half"]
            yield "export", self.command(*words, on_device=False)
        known = [
            "--model",
            out,
            "--kinds",
            self.kinds,
            "--write",
            "--out",
            self.runs / "known.json",
        ]
        yield "known kinds", [sys.executable, ROOT / "benchmarks/tiny/known.py", *known]


def gather(manifest: Path, data: Path, folder: Path) -> None:
    """Link the recordings of a manifest into a folder of their own, so that no other is packed."""
    for entry in read_manifest(manifest):
        link = folder / entry.path
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.exists():
            link.symlink_to((data / entry.path).resolve())


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kinds", choices=MANIFESTS)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--device", help="cpu, cuda, mps; by default the fastest")
    parser.add_argument("--rehearse", action="store_true", help="two steps of everything")
    arguments = parser.parse_args()
    plan = Plan(arguments.kinds, arguments.device, arguments.rehearse)
    manifest, times = plan.runs / "manifest.jsonl", plan.runs / "times.jsonl"
    plan.runs.mkdir(parents=True, exist_ok=True)
    run(("manifest", [sys.executable, MANIFESTS[plan.kinds], arguments.data, manifest]), times)
    if plan.rehearsal:
        entries = read_manifest(manifest)
        write_manifest(manifest, entries[:: max(1, len(entries) // REHEARSED)])
    gather(manifest, arguments.data, plan.runs / "recordings")
    for stage in plan.stages():
        run(stage, times)


if __name__ == "__main__":
    main()
