"""Train the embedded model, from recordings to folder: `python recipes/tiny/make.py ten fifty`.

`ten` trains a model of ESC-10 and Sonic Pi in `runs/tiny` of the current folder; `fifty` goes on
from it, in `runs/fifty`, with all recordings and kinds of `kinds.toml`. Every stage resumes where
it was stopped, and one that is done is passed over; the seconds of each are appended to
`times.jsonl` beside the runs. `--rehearse`, in a folder of its own, makes two steps of everything.
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
MANIFESTS = {
    "ten": {"manifest": HERE / "manifest.py", "all": HERE / "recordings.py"},
    "fifty": {"manifest": HERE / "recordings.py"},
}
RECIPES = {"ten": HERE, "fifty": HERE / "fifty"}
# How often recordings are encoded, by kind or else by folder: some are few, and came too seldom.
TIMES = {
    "ten": {"rain": 4, "chainsaw": 2, "clock_tick": 2},
    "fifty": {"esc10": 3, "esc50": 3},
}
# Mixes and variations of `data encode`.
ENCODED = {"ten": ("0.15", "3"), "fifty": ("0.1", "2")}
FIRST = Path("runs/tiny/model")  # of ten kinds
REHEARSED = 40  # recordings of a rehearsal, evenly from all
Stage = tuple[str, list[str | Path]]


@dataclass(frozen=True)
class Plan:
    """What is trained on which recordings, on which device, and whether only a rehearsal."""

    kinds: str
    data: Path
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
        settings = [] if name == "diffusion" else [f"data.folder={self.data}"]
        settings += ["run.steps=2", "run.batch_size=4"] if self.rehearsal else []
        words = [word for setting in settings for word in ("--set", setting)]
        return name, self.command("train", name.partition("-")[0], recipe, *words)

    def script(self, name: Path, *words: str | Path) -> list[str | Path]:
        """Return a command of this repository."""
        return [sys.executable, name, *words]

    def stages(self) -> Iterator[Stage]:
        """Yield the stages after the manifest, in order, each with its command."""
        vae, clap = (self.runs / name / "model" for name in ("vae", "clap"))
        yield from self.from_nothing() if self.kinds == "ten" else self.from_ten(vae, clap)
        prepared, latents, out = (self.runs / name for name in ("prepared", "latents", "model"))
        words: list[str | Path] = ["--captions", self.runs / "balanced.jsonl", "--held-out", "0"]
        words += [self.runs / "recordings", prepared, "--per-shard", "600"]
        yield "prepare", self.command("data", "prepare", *words, on_device=False)
        words = ["--vae", vae, "--clap", clap, "--duration", "4.8"]
        mixes, variations = ENCODED[self.kinds]
        words += ["--mixes", mixes, "--variations", variations]
        yield "encode", self.command("data", "encode", prepared, latents, *words)
        yield self.training("diffusion")
        if not out.exists():
            words = ["train", "export", self.runs / "diffusion", out, "--half"]
            yield "export", self.command(*words, on_device=False)
        words = ["--model", out, "--kinds", self.kinds, "--write"]
        words += ["--out", self.runs / "known.json"]
        yield "known kinds", self.script(ROOT / "benchmarks/tiny/known.py", *words)

    def from_nothing(self) -> Iterator[Stage]:
        """Yield the trainings of what a denoiser of ten kinds is put together from."""
        yield from map(self.training, ("vae-1", "vae-2", "clap-1", "clap-2", "vocoder"))

    def from_ten(self, vae: Path, clap: Path) -> Iterator[Stage]:
        """Yield how the model of ten kinds becomes what is around a denoiser of fifty."""
        start = self.runs / "start"
        yield from map(self.training, ("vae", "clap-1", "clap-2"))
        if not start.exists():
            yield "assemble", self.script(HERE / "assemble.py", FIRST, start, vae, clap)


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
    times = plan.runs / "times.jsonl"
    plan.runs.mkdir(parents=True, exist_ok=True)
    for name, script in MANIFESTS[plan.kinds].items():
        path = plan.runs / f"{name}.jsonl"
        run((name, plan.script(script, plan.data, path)), times)
        if plan.rehearsal:
            some = read_manifest(path)
            write_manifest(path, some[:: max(1, len(some) // REHEARSED)])
    entries = read_manifest(plan.runs / "manifest.jsonl")
    recordings = plan.runs / "recordings"
    linked = gather(entries, TIMES[plan.kinds], plan.data, recordings)
    write_manifest(plan.runs / "balanced.jsonl", linked)
    for stage in plan.stages():
        run(stage, times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kinds", choices=MANIFESTS, nargs="+")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--device", help="cpu, cuda, mps; by default the fastest")
    parser.add_argument("--rehearse", action="store_true", help="two steps of everything")
    arguments = parser.parse_args()
    for kinds in arguments.kinds:
        make(Plan(kinds, arguments.data, arguments.device, arguments.rehearse))


if __name__ == "__main__":
    main()
