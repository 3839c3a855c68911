"""Sixty prompts beyond ESC-50, one clip each: instruments, voices, sounds of games.

    python benchmarks/tiny/further.py

No classifier judges these kinds, so CLAP does, the model's own, which flatters it: how near a clip
is to its prompt, and which of the sixty prompts it is nearest to; real recordings of the kind are
judged beside it. Writes `benchmarks/tiny/further.json`, the page `docs/further.md`, and pages
of pictures, every clip beside a recording, to be looked at.
"""

import argparse
import json
import tomllib
from pathlib import Path
from typing import Any

import numpy as np

import latentfoley
from latentfoley.audio import normalise_peak
from latentfoley.data.recordings import Clip, load_clips
from latentfoley.levels import measure
from latentfoley.pictures import plot_clips

HERE = Path(__file__).parent
SEED = 2026
PER_PAGE = 15  # kinds
MOST = 20  # recordings of a kind that are embedded
PAGE = """# Sixty further sounds

Written by `benchmarks/tiny/further.py`; do not edit. Instruments, voices and sounds of games beyond
the fifty kinds of ESC-50: one prompt each, one clip each, default settings. No independent
classifier knows these kinds. The judge is the model's own CLAP, which flatters it: *place* is where
the clip's own prompt stands among the sixty when they are ordered by their cosine to the clip;
beside the cosine stands the median of recordings of the kind, most of which were trained on.

"""
SHOWN = "\n\n![{first} to {last}, a recording beside a generated clip](pictures/{name})"


def recordings(manifest: Path, data: Path, rate: int) -> dict[str, list[Clip]]:
    """Return recordings by kind, those kept out of training first."""
    clips = [
        clip for split in ("valid", "train") for clip in load_clips(manifest, data, split, rate)
    ]
    by_kind: dict[str, list[Clip]] = {}
    for clip in clips:
        by_kind.setdefault(clip.labels[0], []).append(clip)
    return by_kind


def embed(model: latentfoley.Model, waveforms: list[np.ndarray]) -> np.ndarray:
    """Return the embeddings of sounds."""
    rate = model.config.mel.sample_rate
    return np.stack([model.audio.embed(normalise_peak(x), rate).numpy() for x in waveforms])


def judge(T: np.ndarray, E: np.ndarray, row: int) -> tuple[float, int]:
    """Return the cosine of a sound's `E` to prompt `row` of `T`, and at which place that stands."""
    cosines = T @ E
    return round(float(cosines[row]), 3), int((cosines > cosines[row]).sum()) + 1


def table(rows: list[dict[str, Any]]) -> str:
    """Return the rows as Markdown, what CLAP places last first."""
    heads = (
        "kind",
        "prompt",
        "place of 60",
        "cosine",
        "recordings'",
        "loudness (recordings'), LUFS",
    )
    lines = ["| " + " | ".join(heads) + " |", "| --- " * len(heads) + "|"]
    for row in sorted(rows, key=lambda row: (-row["place"], row["kind"])):
        lines.append(
            f"| {row['kind']} | {row['prompt']} | {row['place']} | {row['cosine']:.2f} | "
            f"{row['cosine of recordings']:.2f} | {row['loudness_lufs']:.0f} "
            f"({row['loudness of recordings, lufs']:.0f}) |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--manifest", type=Path, default=Path("runs/tiny/manifest.jsonl"))
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=HERE / "further.json")
    parser.add_argument("--page", type=Path, default=Path("docs/further.md"))
    parser.add_argument("--pictures", type=Path, default=Path("docs/pictures"))
    arguments = parser.parse_args()
    model = latentfoley.load(arguments.model, device="cpu")
    rate = model.config.mel.sample_rate
    prompts = tomllib.loads((HERE / "prompts-other.toml").read_text(encoding="utf-8"))
    real = recordings(arguments.manifest, arguments.data, rate)
    T = model.text.embed(list(prompts.values())).numpy()
    made = model.generate(list(prompts.values()), seed=SEED)
    rows, shown, titles = [], [], []
    for k, ((kind, prompt), clip) in enumerate(zip(prompts.items(), made, strict=True)):
        waveforms = [one.waveform for one in real[kind][:MOST]]
        cosine, place = judge(T, embed(model, [clip.waveform])[0], k)
        rows.append(
            {
                "kind": kind,
                "prompt": prompt,
                "place": place,
                "cosine": cosine,
                "cosine of recordings": round(float(np.median(embed(model, waveforms) @ T[k])), 3),
                "loudness_lufs": round(measure(clip.waveform, rate).loudness_lufs, 1),
                "loudness of recordings, lufs": round(
                    float(np.median([measure(x, rate).loudness_lufs for x in waveforms])), 1
                ),
            }
        )
        shown += [waveforms[0], clip.waveform]
        titles += [f"{kind}, real", f"{kind}, generated"]
    report = {
        "first of 60": sum(row["place"] == 1 for row in rows),
        "among the first 5": sum(row["place"] <= 5 for row in rows),
        "rows": rows,
        "model_hash": model.weights_hash,
    }
    arguments.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    page = PAGE + table(rows)
    for n in range(0, len(shown), 2 * PER_PAGE):
        some = slice(n, n + 2 * PER_PAGE)
        path = arguments.pictures / f"further-{n // (2 * PER_PAGE) + 1}.png"
        plot_clips(path, shown[some], titles[some], model.config.mel, columns=6)
        kinds = list(prompts)[n // 2 : n // 2 + PER_PAGE]
        page += SHOWN.format(first=kinds[0], last=kinds[-1], name=path.name)
    arguments.page.write_text(f"{page}\n", encoding="utf-8")
    print({name: value for name, value in report.items() if name != "rows"})


if __name__ == "__main__":
    main()
