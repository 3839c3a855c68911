"""Does a change of the code leave the samples as they were?

A fixed set of generations and edits of the embedded model is made by two checkouts on the same
machine, each in a process of its own, and their samples are compared bit for bit:

    git worktree add ../before COMMIT
    python benchmarks/same_samples.py ../before . --data ../shared/data

Where the embedded weights have changed in between, `after` is a checkout with those of before:
`git checkout COMMIT -- src/latentfoley/resources/tiny` in it.

The set covers every kind of edit, two samplers or more, lengths within and beyond a window, loops,
blends, candidates, negative prompts and, in edits without a text, recordings as prompts. Bits
depend on the processor, so there is nothing to compare with but another run here. Writes
`benchmarks/same_samples.json`.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

OUT = Path(__file__).with_suffix(".json")
FEW: dict[str, Any] = {"steps": 4, "seed": 11}


def generations() -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """Yield name, prompt and options of every generation."""
    for sampler in ("ddim", "dpm++", "dpm++sde", "unipc", "heun"):
        yield f"generate {sampler}", "a dog barking", {"sampler": sampler, "duration_s": 1.3}
    yield "generate eta", "rain", {"sampler": "ddim", "eta": 0.7, "duration_s": 1.0}
    yield "generate beyond a window", "the sea", {"duration_s": 13.7}
    yield "generate a loop", "a clock ticking", {"duration_s": 2.1, "loop": True}
    yield "generate a blend", {"rain": 0.7, "a rooster": 0.3}, {"duration_s": 1.0}
    yield "generate away from", "a dog", {"negative_prompt": "rain", "duration_s": 1.0}
    yield "generate the best of three", "a sneeze", {"candidates": 3, "duration_s": 1.0}
    yield "generate several", ["rain", "a dog"], {"n": 2, "duration_s": 0.7}


def edits(recording: Path, other: Path) -> Iterator[tuple[str, str, Any, dict[str, Any]]]:
    """Yield name, kind, prompt and options of every edit."""
    for sampler in ("dpm++", "ddim"):
        yield f"transfer {sampler}", "transfer", "rain", {"sampler": sampler}
        yield f"inpaint {sampler}", "inpaint", "a dog", {"sampler": sampler, "spans": [(1, 2)]}
    yield "transfer inverted", "transfer", "rain", {"invert": True, "source_prompt": "a dog"}
    yield "transfer not at all", "transfer", "rain", {"strength": 0}
    yield "transfer wholly", "transfer", "rain", {"strength": 1}
    yield "vary", "vary", "a dog", {}
    yield "vary like itself", "vary", None, {}
    yield "inpaint bands, repeated", "inpaint", "a dog", {"bands": [(2000, 4000)], "repeats": 2}
    yield "extend", "extend", "a dog", {"before_s": 0.5, "after_s": 1.0}
    yield "upsample", "upsample", "a dog", {"cutoff_hz": 4000}
    yield "loop", "loop", "a dog", {}
    yield "morph", "morph", "a dog", {"other": other, "mix": 0.4}


def make(recording: Path, other: Path) -> dict[str, str]:
    """Return the hash of the samples of every case, made by the code that is imported."""
    import latentfoley

    model = latentfoley.load("tiny", device="cpu")
    made = {
        name: model.generate(prompt, **FEW, **options) for name, prompt, options in generations()
    }
    made |= {
        name: model.edit(kind, recording, prompt, **FEW, **options)
        for name, kind, prompt, options in edits(recording, other)
    }
    return {
        name: sha256(b"".join(clip.waveform.tobytes() for clip in clips)).hexdigest()[:16]
        for name, clips in made.items()
    }


def run(checkout: Path, recording: Path, other: Path) -> dict[str, Any]:
    """Return the commit of a checkout and the hashes that its code gives."""
    command = [sys.executable, __file__, "--make", str(recording), str(other)]
    environment = os.environ | {"PYTHONPATH": str(checkout.resolve() / "src")}
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    commit = subprocess.run(
        ["git", "-C", checkout, "describe", "--always", "--dirty"],
        check=True, stdout=subprocess.PIPE, text=True,
    ).stdout.strip()  # fmt: skip
    return {"commit": commit, "samples": json.loads(done.stdout)}


def main() -> None:
    """Compare two checkouts, or make the set of one."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--make", action="store_true", help="print the hashes of this code")
    arguments = parser.parse_args()
    if arguments.make:
        print(json.dumps(make(arguments.before, arguments.after)))
        return
    recordings = sorted((arguments.data / "esc10").rglob("*.ogg"))[:200:199]
    before, after = (run(place, *recordings) for place in (arguments.before, arguments.after))
    differ = [k for k, v in before["samples"].items() if after["samples"][k] != v]
    report = {
        "before": before["commit"],
        "after": after["commit"],
        "recordings": [path.name for path in recordings],
        "cases": len(before["samples"]),
        "differ": differ,
    }
    OUT.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
