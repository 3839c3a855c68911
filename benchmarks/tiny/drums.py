"""How often the embedded model's drums are silent: `python benchmarks/tiny/drums.py`.

Drums were trained on as one short hit in a window of silence. Writes `benchmarks/tiny/drums.json`:
of clips of 2 and of 5 s, how many are quieter than `FAINT_LUFS`.
"""

import json
from pathlib import Path

import latentfoley
from latentfoley.levels import FAINT_LUFS, loudness

DRUMS = ("a drum", "a kick drum", "a bass drum", "an acoustic drum", "a hi-hat", "a snare drum")
SEEDS = (0, 1)


def main() -> None:
    """Measure and write."""
    model = latentfoley.load("tiny", device="cpu")
    found = {}
    for duration_s in (2.0, 5.0):
        clips = [
            model.generate(drum, duration_s=duration_s, seed=seed)[0]
            for drum in DRUMS
            for seed in SEEDS
        ]
        faint = [loudness(clip.waveform, clip.sample_rate) < FAINT_LUFS for clip in clips]
        found[f"{duration_s:g} s"] = {"n": len(faint), "faint": sum(faint)}
    result = {"faint_lufs": FAINT_LUFS, "identity": model.identity.weights, "clips": found}
    Path(__file__).with_suffix(".json").write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
