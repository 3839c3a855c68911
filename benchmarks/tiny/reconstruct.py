"""The VAE and the vocoder on recordings kept out of training, with Griffin-Lim as a baseline.

    python benchmarks/tiny/reconstruct.py

Log-mel L1 (nats) and multi-resolution STFT distance against the recording, both means over clips
with 95 % bootstrap intervals. Writes `benchmarks/tiny/reconstruction.json`.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import latentfoley
from latentfoley.audio import normalise_peak
from latentfoley.data.recordings import load_clips
from latentfoley.griffin_lim import griffin_lim
from latentfoley.mel import log_mel
from latentfoley.spectral import mel_distance, stft_distance

HERE = Path(__file__).parent
ITERATIONS = 32  # of Griffin-Lim
DRAWS = 2000  # of the bootstrap


@torch.no_grad()
def measure(model: latentfoley.Model, waveforms: list[np.ndarray]) -> dict[str, dict[str, object]]:
    """Return each path's figures: what comes back of a recording, and how far it is."""
    paths: dict[str, Callable[[Tensor], Tensor]] = {
        "vocoder": model.vocoder,
        "Griffin-Lim": lambda X: griffin_lim(X, model.config.mel, iterations=ITERATIONS),
        "VAE + vocoder": lambda X: model.vocode(model.vae.decode(model.vae.encode(X))),
    }
    mels: dict[str, list[float]] = {"VAE": []} | {name: [] for name in paths}
    stfts: dict[str, list[float]] = {name: [] for name in paths}
    hop, r = model.config.mel.hop_length, model.config.vae.compression
    for waveform in waveforms:
        n_samples = len(waveform) // (hop * r) * hop * r
        real = torch.from_numpy(waveform[:n_samples])[None]
        X = log_mel(real, model.config.mel)
        reconstruction = model.vae.decode(model.vae.encode(X))
        mels["VAE"].append(float((X - reconstruction).abs().mean()))
        for name, path in paths.items():
            made = path(X)[:, :n_samples]
            mels[name].append(float(mel_distance(real, made, model.config.mel)))
            stfts[name].append(float(stft_distance(real, made)))
    report = {name: {"log_mel_l1_nats": interval(values)} for name, values in mels.items()}
    for name, values in stfts.items():
        report[name]["multi_resolution_stft"] = interval(values)
    return report


def interval(values: list[float]) -> dict[str, object]:
    """Return mean, 95 % bootstrap interval and count."""
    rng = np.random.default_rng(0)
    means = rng.choice(values, (DRAWS, len(values))).mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return {
        "mean": round(float(np.mean(values)), 4),
        "interval_95": [round(float(low), 4), round(float(high), 4)],
        "n": len(values),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--manifest", type=Path, default=Path("runs/tiny/manifest.jsonl"))
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=HERE / "reconstruction.json")
    arguments = parser.parse_args()
    model = latentfoley.load(arguments.model)
    clips = load_clips(arguments.manifest, arguments.data, "valid", model.config.mel.sample_rate)
    long_enough = [
        clip for clip in clips if len(clip.waveform) >= model.config.mel.sample_rate // 2
    ]
    waveforms = [normalise_peak(clip.waveform) for clip in long_enough]
    report = measure(model, waveforms) | {"model_hash": model.weights_hash}
    arguments.out.write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
