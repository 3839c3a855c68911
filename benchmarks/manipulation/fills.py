"""How should a gap be filled? Measured on recordings that the model was trained on.

    python benchmarks/manipulation/fills.py

From every ESC-10 class one recording loses its middle second, and one its last two. Both are filled
with a training caption for a prompt, walked once and with RePaint's repeats, and with less guidance
than by default; and with the recording for its own guide. Defaults are chosen here, so that the
suite, which measures them, was not used to tune them. Writes `benchmarks/manipulation/fills.json`.
"""

import argparse
import json
import tomllib
from collections.abc import Iterator
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from judges import CLASSES, ROOT, Judges
from measures import RATE, distances
from workers import each

from latentfoley.audio import read_audio
from latentfoley.data.metadata import read_manifest
from latentfoley.evaluation.metrics.score import mean_score

HERE = Path(__file__).parent
LOST_S, CUT_S = (2.0, 3.0), 2.0
SETTINGS: tuple[dict[str, Any], ...] = (
    {"guide": "prompt", "repeats": 1},
    {"guide": "prompt", "repeats": 4},
    {"guide": "prompt", "repeats": 1, "guidance": 3.0},
    {"guide": "prompt", "repeats": 1, "guidance": 1.5},
    {"guide": "recording", "repeats": 1},
)
SEED = 12
Job = tuple[str, str, str, dict[str, Any]]


def jobs(manifest: Path) -> Iterator[Job]:
    """Yield (kind of edit, recording, prompt, settings)."""
    captions = tomllib.loads((ROOT / "recipes/tiny/captions.toml").read_text())["esc10"]
    trained = [entry for entry in read_manifest(manifest) if entry.split == "train"]
    kinds = (("inpaint", 3), ("extend", 9))
    for label, (kind, nth), settings in product(CLASSES, kinds, SETTINGS):
        path = [entry.path for entry in trained if label in entry.labels][nth]
        yield kind, path, captions[label][0], settings


def fill(judges: Judges, job: Job, *, data: Path, place: Path) -> dict[str, float]:
    """Return the distances of a filling, and its level against what was there."""
    kind, path, prompt, settings = job
    truth = read_audio(data / path, sample_rate=RATE).waveform
    span = LOST_S
    given: dict[str, Any] = {"spans": [LOST_S]}
    source = data / path
    if kind == "extend":
        span, given = (len(truth) / RATE - CUT_S, len(truth) / RATE), {"after_s": CUT_S}
        source = place / f"{Path(path).stem}-cut.wav"
        soundfile.write(source, truth[: -round(CUT_S * RATE)], RATE, subtype="FLOAT")
    given |= {name: value for name, value in settings.items() if name != "guide"}
    text = prompt if settings["guide"] == "prompt" else None
    (clip,) = judges.model.edit(kind, source, text, seed=SEED, **given)
    here = slice(*(round(moment * RATE) for moment in span))
    power, wanted = (float(np.mean(np.square(sound[here]))) for sound in (clip.waveform, truth))
    return distances(clip.waveform, truth, (span,), ()) | {
        "level": 10 * float(np.log10(max(power, 1e-10) / max(wanted, 1e-10))),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--classifier", type=Path, default=Path("build/classifier.safetensors"))
    parser.add_argument("--manifest", type=Path, default=Path("runs/tiny/first.jsonl"))
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--place", type=Path, default=Path("build/manipulation"))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=HERE / "fills.json")
    arguments = parser.parse_args()
    arguments.place.mkdir(parents=True, exist_ok=True)
    found: dict[str, list[dict[str, float]]] = {}
    work = partial(fill, data=arguments.data, place=arguments.place)
    places = (arguments.model, arguments.classifier, arguments.workers)
    for (kind, _, _, settings), row in each(work, jobs(arguments.manifest), *places):
        found.setdefault(json.dumps({"kind": kind} | settings), []).append(row)
        print(kind, settings, row, flush=True)
    report = [json.loads(settings) | summary(rows) for settings, rows in sorted(found.items())]
    arguments.out.write_text(json.dumps(report, indent=1) + "\n")


def summary(rows: list[dict[str, float]]) -> dict[str, object]:
    """Return means with their intervals; of the levels, the mean distance from 0 dB."""
    columns = {name: np.array([abs(row[name]) for row in rows]) for name in rows[0]}
    out: dict[str, object] = {"n": len(rows)}
    for name in ("LSD, edited part", "STFT, edited part", "level"):
        score = mean_score(name, columns[name], better="lower", caveat="training recordings")
        out[name] = round(score.value, 3)
        out[f"{name}, 95 %"] = [round(end, 3) for end in score.interval or ()]
    return out


if __name__ == "__main__":
    main()
