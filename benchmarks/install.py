"""From a wheel to a sound in an empty folder and environment, on each Python that is given.

    python benchmarks/install.py --wheel dist/*.whl --uv uv python3.11 python3.12

Each is installed twice, with the newest and with the lowest dependencies that pyproject.toml
allows. What has been downloaded before comes from uv's cache. Writes benchmarks/install.json.
"""

import argparse
import json
import os
import subprocess
import time
import tomllib
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

HERE = Path(__file__).parent
PROJECT = tomllib.loads((HERE.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DEPENDENCIES = PROJECT["dependencies"]
RESOLUTIONS = {"newest": "highest", "lowest": "lowest-direct"}


def timed(*words: str | Path, **options: Any) -> tuple[float, str]:
    """Return the seconds of a command and what it printed.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    start = time.perf_counter()
    end = subprocess.run(
        [str(word) for word in words], check=True, capture_output=True, text=True, **options
    )
    return round(time.perf_counter() - start, 1), end.stdout


def size_mb(folder: Path) -> float:
    """Return the megabytes of all files below a folder."""
    return round(sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6)


def install(python: str, resolution: str, options: argparse.Namespace) -> dict[str, Any]:
    """Return times and sizes of one environment; "failed" says why there are none."""
    with TemporaryDirectory(dir=options.work) as folder:
        environment = Path(folder, "environment")
        own = environment / "bin" / "python"
        try:
            timed(options.uv, "venv", "--python", python, environment)
            # As direct requirements: what is below them stays the newest that they take.
            words = ("--python", own, "--resolution", RESOLUTIONS[resolution], *DEPENDENCIES)
            install_s, _ = timed(options.uv, "pip", "install", *words, options.wheel)
            program = "import platform, torch; print(platform.python_version(), torch.__version__)"
            _, versions = timed(own, "-c", program, cwd=folder)
            sound_s, said = timed(
                environment / "bin" / "latentfoley", "generate", "a dog barking", cwd=folder
            )
        except subprocess.CalledProcessError as error:
            last = (error.stderr or error.stdout).strip().splitlines()[-1:]
            return {"failed": " ".join(last)[:200]}
        version, torch = versions.split()
        sounds = [file for file in Path(folder, "out").iterdir() if file.stat().st_size > 10_000]
        assert len(sounds) == 1, said
        return {
            "python": version,
            "torch": torch,
            "install_s": install_s,
            "size_mb": size_mb(environment),
            "first_sound_s": sound_s,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pythons", nargs="+", help="interpreters, or versions that uv finds")
    parser.add_argument("--wheel", type=Path, required=True)
    parser.add_argument("--uv", default="uv")
    parser.add_argument("--work", type=Path, help="where environments are made and removed")
    parser.add_argument("--only", choices=RESOLUTIONS, help="one of the two")
    parser.add_argument("--out", type=Path, default=HERE / "install.json")
    options = parser.parse_args()
    options.wheel = options.wheel.resolve()
    result = {
        "wheel_mb": round(options.wheel.stat().st_size / 1e6, 1),
        "load_before": round(os.getloadavg()[0], 1),
        "environments": {
            f"{Path(python).name}, {resolution}": install(python, resolution, options)
            for python in options.pythons
            for resolution in RESOLUTIONS
            if options.only in (None, resolution)
        },
    }
    options.out.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
