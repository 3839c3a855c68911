"""Three users' walks: the commands of each, counted and timed in an empty folder.

    python benchmarks/walks/run.py --data ../shared/data designer recordist researcher

A walk is a file of commands beside this one. Beforehand lie there sixty recordings of ESC-10, six
of each kind, in `my-recordings`, and in `captioned` the same with a table of captions. Writes
benchmarks/walks/walks.json, and keeps the walks that it does not run.
"""

import argparse
import csv
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

HERE = Path(__file__).parent
PER_KIND = 6


def lay_out(folder: Path, data: Path) -> None:
    """Copy the recordings, once without and once with captions."""
    rows = []
    by_kind: dict[str, list[Path]] = {}
    for file in sorted((data / "esc10").rglob("*.ogg")):
        by_kind.setdefault(file.parent.name, []).append(file)
    for kind, files in by_kind.items():
        caption = kind.replace("_", " ")
        for file in files[:PER_KIND]:
            for name in ("my-recordings", "captioned"):
                (folder / name).mkdir(exist_ok=True)
                shutil.copy(file, folder / name)
            rows.append((file.name, f"a sound of {caption}", caption))
    with (folder / "captioned" / "captions.csv").open("w", newline="") as table:
        csv.writer(table).writerows([("file", "caption", "label"), *rows])


def walk(name: str, data: Path, work: Path | None) -> dict[str, Any]:
    """Run the commands of a walk and return how many there are and how long each took."""
    lines = (HERE / f"{name}.sh").read_text(encoding="utf-8").splitlines()
    commands = [line for line in lines if line and not line.startswith("#")]
    steps = []
    with TemporaryDirectory(dir=work) as place:
        lay_out(Path(place), data)
        for command in commands:
            _, *words = shlex.split(command)
            start = time.perf_counter()
            end = subprocess.run(
                [sys.executable, "-m", "latentfoley", *words],
                cwd=place,
                env=os.environ | {"XDG_CACHE_HOME": str(Path(place, "cache"))},
                capture_output=True,
                text=True,
            )
            if end.returncode != 0:
                raise SystemExit(f"{command}\n{end.stderr}")
            seconds = round(time.perf_counter() - start, 1)
            steps.append({"command": command, "seconds": seconds})
            print(f"{seconds:7.1f} s  {command}", flush=True)
    return {
        "commands": len(commands),
        "seconds": round(sum(step["seconds"] for step in steps), 1),
        "threads": os.environ.get("OMP_NUM_THREADS", "all"),
        "load_after": round(os.getloadavg()[0], 1),
        "steps": steps,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("walks", nargs="+", choices=("designer", "recordist", "researcher"))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, help="where folders are made and removed")
    parser.add_argument("--out", type=Path, default=HERE / "walks.json")
    options = parser.parse_args()
    for name in options.walks:
        found = walk(name, options.data.resolve(), options.work)
        known = json.loads(options.out.read_text()) if options.out.is_file() else {}
        options.out.write_text(json.dumps(known | {name: found}, indent=2) + "\n")


if __name__ == "__main__":
    main()
