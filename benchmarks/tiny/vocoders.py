"""A vocoder beside Griffin-Lim on recordings kept out: `python benchmarks/tiny/vocoders.py FOLDER`.

FOLDER holds a trained `vocoder/`. Log-mel L1 (nats) and multi-resolution STFT distance to the
recordings, from their own log-mels; means over clips with 95 % bootstrap intervals, and of the
differences to Griffin-Lim, clip by clip. The seconds are those of one thread. Writes JSON.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from reconstruct import ITERATIONS, interval
from torch import Tensor

from latentfoley.audio import normalise_peak
from latentfoley.checkpoints.layout import read_vocoder
from latentfoley.config import MelConfig
from latentfoley.data.recordings import load_clips
from latentfoley.griffin_lim import griffin_lim
from latentfoley.mel import log_mel
from latentfoley.spectral import mel_distance, stft_distance

BASELINE = f"Griffin-Lim, {ITERATIONS} iterations"
MENDED = (4, 16)  # iterations of Griffin-Lim that begin with the vocoder's phases


def ways(folder: Path, mel: MelConfig) -> dict[str, Callable[[Tensor], Tensor]]:
    """Return the ways from a log-mel to a waveform."""
    vocoder = read_vocoder(folder / "vocoder")

    def mended(iterations: int) -> Callable[[Tensor], Tensor]:
        return lambda X: griffin_lim(X, mel, iterations=iterations, start=vocoder(X))

    return {
        BASELINE: lambda X: griffin_lim(X, mel, iterations=ITERATIONS),
        "vocoder": vocoder,
    } | {f"vocoder, {k} iterations after it": mended(k) for k in MENDED}


@torch.no_grad()
def measure(
    waveforms: list[np.ndarray], ways: dict[str, Callable[[Tensor], Tensor]], mel: MelConfig
) -> dict[str, object]:
    """Return the figures of every way."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    seconds = dict.fromkeys(ways, 0.0)
    for waveform in waveforms:
        n_samples = len(waveform) // mel.hop_length * mel.hop_length
        real = torch.from_numpy(waveform[:n_samples])[None]
        X = log_mel(real, mel)
        for name, way in ways.items():
            start = time.process_time()
            made = way(X)[:, :n_samples]
            seconds[name] += time.process_time() - start
            distances = float(mel_distance(real, made, mel)), float(stft_distance(real, made))
            found[name].append(distances)
    sound_s = sum(map(len, waveforms)) / mel.sample_rate
    base = np.array(found[BASELINE])
    return {
        name: {
            "log_mel_l1_nats": interval([one for one, _ in values]),
            "multi_resolution_stft": interval([other for _, other in values]),
            "log_mel_l1_minus_griffin_lim": interval((np.array(values) - base)[:, 0].tolist()),
            "stft_minus_griffin_lim": interval((np.array(values) - base)[:, 1].tolist()),
            "cpu_seconds_per_second": round(seconds[name] / sound_s, 4),
        }
        for name, values in found.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--manifest", type=Path, default=Path("runs/tiny/manifest.jsonl"))
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--clips", type=int, default=80, help="at most so many, evenly from all")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    mel = MelConfig()
    clips = load_clips(arguments.manifest, arguments.data, "valid", mel.sample_rate)
    long_enough = [clip for clip in clips if len(clip.waveform) >= mel.sample_rate // 2]
    chosen = long_enough[:: max(1, len(long_enough) // arguments.clips)][: arguments.clips]
    waveforms = [normalise_peak(clip.waveform) for clip in chosen]
    report = measure(waveforms, ways(arguments.folder, mel), mel)
    arguments.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
