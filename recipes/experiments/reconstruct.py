"""What each first stage leaves of a recording it was not trained on: r = 2, 4, 8, 16.

    python recipes/experiments/reconstruct.py runs/experiments/reference.jsonl \
        runs/experiments/models OUT.json

Log-mels of whole recordings go through each VAE and back; no vocoder takes part. Differences from
r = 4 are paired by recording: 95 % bootstrap intervals, sign-flip permutation, Holm's correction
over the comparisons of a figure.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import latentfoley
from latentfoley.audio import normalise_peak
from latentfoley.data.recordings import load_clips
from latentfoley.evaluation.ablation.statistics import (
    draw_prompts,
    holm,
    mean_interval,
    sign_flip_test,
)
from latentfoley.evaluation.metrics.reconstruction import pictures, psnr, ssim
from latentfoley.mel import log_mel

COMPRESSIONS, BASELINE = (2, 4, 8, 16), 4
DRAWS = 1999
Values = dict[str, np.ndarray]


@torch.no_grad()
def figures(model: latentfoley.Model, waveforms: list[np.ndarray]) -> Values:
    """Return each figure of each recording: mean |X - X̂| in nats, PSNR in dB, SSIM."""
    pairs = [pair(model, waveform) for waveform in waveforms]
    return {
        "L1": np.array([float((made - real).abs().mean()) for made, real in pairs]),
        "PSNR": np.array([psnr(*pictures(one)) for one in pairs]),
        "SSIM": np.array([ssim(*pictures(one)) for one in pairs]),
    }


def pair(model: latentfoley.Model, waveform: np.ndarray) -> tuple[Tensor, Tensor]:
    """Return a recording's log-mel after and before the VAE, [T, F]."""
    n_samples = 16 * model.config.mel.hop_length  # so that every r divides what it is given
    whole = len(waveform) // n_samples * n_samples
    X = log_mel(torch.from_numpy(waveform[:whole])[None], model.config.mel)
    return model.vae.decode(model.vae.encode(X))[0, 0], X[0, 0]


def with_interval(values: np.ndarray) -> dict[str, Any]:
    return {
        "mean": float(values.mean()),
        "interval_95": mean_interval(values, draw_prompts(len(values), DRAWS)),
    }


def compared(of_models: dict[int, Values], name: str) -> dict[str, Any]:
    """Return a figure of every r, and its difference from the baseline."""
    others = [r for r in COMPRESSIONS if r != BASELINE]
    gaps = [of_models[r][name] - of_models[BASELINE][name] for r in others]
    p_values = holm([sign_flip_test(gap, DRAWS).value for gap in gaps])
    return {
        "values": {f"r{r}": with_interval(of_models[r][name]) for r in COMPRESSIONS},
        "minus r4": {
            f"r{r}": with_interval(gap) | {"p_holm": p}
            for r, gap, p in zip(others, gaps, p_values, strict=True)
        },
    }


def table(report: dict[str, Any]) -> str:
    """Return the figures as the page has them."""

    def cell(name: str, r: int) -> str:
        figure = report[name]["values"][f"r{r}"]
        low, high = figure["interval_95"]
        return f"{figure['mean']:.3g} ({low:.3g} to {high:.3g})"

    rows = [
        f"| {r} | " + " | ".join(cell(name, r) for name in ("L1", "PSNR", "SSIM")) + " |"
        for r in COMPRESSIONS
    ]
    return "\n".join(["| r | L1, nats | PSNR, dB | SSIM |", "| --- | --- | --- | --- |", *rows])


def main() -> None:
    manifest, models, out = (Path(word) for word in sys.argv[1:])
    clips = load_clips(manifest, manifest.parent, "valid", 16_000)
    waveforms = [normalise_peak(clip.waveform) for clip in clips]
    of_models = {
        r: figures(latentfoley.load(str(models / f"r{r}-0")), waveforms) for r in COMPRESSIONS
    }
    report = {name: compared(of_models, name) for name in ("L1", "PSNR", "SSIM")}
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({"recordings": len(clips)} | report, indent=2) + "\n")


if __name__ == "__main__":
    main()
