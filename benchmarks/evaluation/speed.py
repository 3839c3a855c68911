"""How long it takes to score 1,000 clips: `python benchmarks/evaluation/speed.py`.

2,000 clips of ten seconds are written, half of them as generated and half as reference. They are
scored by `latentfoley evaluate` with the embedded CLAP, everything it computes (FD, FD∞, KAD, KID,
IS, KL, CLAP scores, levels, every interval), with an empty cache and again with a full one.

The plain loop beside it reads and embeds one clip after the other, and one caption after the other,
with the same embedder, without batches, threads of its own or a cache. What it scores is told
apart: "four scores" are FD by scipy's matrix square root, KL, IS and CLAP score once, without
intervals or levels; "all scores" are the levels and the very scores that `evaluate` computes, by
the same functions. Its reading is timed on a part of the clips and scaled. Writes
`benchmarks/evaluation/speed.json`.
"""

import argparse
import json
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import scipy.linalg
import torch

from latentfoley.audio import read_audio, write_audio
from latentfoley.evaluation.embedders import find_embedder
from latentfoley.evaluation.embedders.clap import ClapEmbedder
from latentfoley.evaluation.evaluate import Settings, evaluate
from latentfoley.evaluation.features.cache import Cache
from latentfoley.evaluation.features.extract import (
    embed_texts,
    extract_all,
    extract_features,
)
from latentfoley.evaluation.features.extractors import FeatureExtractor, FeatureSet
from latentfoley.evaluation.metrics.divergence import log_softmax
from latentfoley.evaluation.sections import Inputs, embedder_section, level_section
from latentfoley.evaluation.sets.clips import Clip, ClipSet
from latentfoley.levels import measure

HERE = Path(__file__).parent
RATE, DURATION_S = 16_000, 10.0
T = TypeVar("T")


@dataclass(frozen=True)
class Seconds:
    """Time on the clock, and on all cores together: the second does not mind a busy machine."""

    wall: float
    cpu: float

    def __add__(self, other: "Seconds") -> "Seconds":
        return Seconds(self.wall + other.wall, self.cpu + other.cpu)

    def times(self, factor: float) -> "Seconds":
        """Return the same work that many times."""
        return Seconds(self.wall * factor, self.cpu * factor)

    def over(self, other: "Seconds") -> dict[str, float]:
        """Return how many times as long as another."""
        return {
            "wall": round(self.wall / other.wall, 2),
            "cpu": round(self.cpu / other.cpu, 2),
        }

    def record(self) -> dict[str, float]:
        """Return plain values."""
        return {"wall_s": round(self.wall, 1), "cpu_s": round(self.cpu, 1)}


def write_set(folder: Path, n: int, seed: int) -> ClipSet:
    """Write clips that are mixtures of a few shaped noises, each unlike the others."""
    folder.mkdir()
    rng = np.random.default_rng(seed)
    bank = [shaped_noise(rng) for _ in range(24)]
    clips = []
    for k in range(n):
        one, other = (
            np.roll(bank[b], rng.integers(len(bank[b]))) for b in rng.integers(24, size=2)
        )
        path = folder / f"{k:04d}.wav"
        write_audio(path, 0.5 * (one + rng.uniform() * other), RATE, provenance=None)
        clips.append(Clip(path.stem, path, f"sound number {k}"))
    return ClipSet(folder, tuple(clips))


def shaped_noise(rng: np.random.Generator) -> np.ndarray:
    """Return a band of noise that comes and goes."""
    n_samples = round(DURATION_S * RATE)
    spectrum = np.fft.rfft(rng.normal(size=n_samples))
    places = np.linspace(0, 1, len(spectrum))
    shape = np.exp(-np.square((places - rng.uniform()) / rng.uniform(0.02, 0.5)))
    events = np.interp(np.arange(n_samples), np.linspace(0, n_samples, 40), rng.uniform(size=40))
    sound = np.fft.irfft(spectrum * shape, n_samples) * events
    return np.asarray(0.9 * sound / np.abs(sound).max(), dtype=np.float32)


def timed(action: Callable[[], T]) -> tuple[Seconds, T]:
    """Return how long an action took, and what it returned."""
    wall, cpu = time.perf_counter(), time.process_time()
    found = action()
    return Seconds(time.perf_counter() - wall, time.process_time() - cpu), found


def read_each(clips: tuple[Clip, ...], embedder: ClapEmbedder) -> list[np.ndarray]:
    """Read and embed one clip after the other; return what was read."""
    waveforms = []
    for clip in clips:
        waveforms.append(
            read_audio(clip.path, sample_rate=embedder.preprocessing.sample_rate).waveform
        )
        embedder.embed(waveforms[-1:])
    return waveforms


def four_scores(
    generated: FeatureSet, reference: FeatureSet, texts: np.ndarray
) -> dict[str, float]:
    """Return FD, KL, IS and CLAP score by their definitions."""
    assert generated.logits is not None
    assert reference.logits is not None
    x, y = generated.rows, reference.rows
    p, q = log_softmax(generated.logits), log_softmax(reference.logits)
    covs = [np.cov(rows, rowvar=False) for rows in (x, y)]
    root = np.real(scipy.linalg.sqrtm(covs[0] @ covs[1]))
    shift = x.mean(axis=0) - y.mean(axis=0)
    mean = np.log(np.exp(p).mean(axis=0))
    return {
        "FD": float(shift @ shift + np.trace(covs[0] + covs[1] - 2 * root)),
        "KL softmax": float((np.exp(q) * (q - p)).sum(axis=1).mean()),
        "IS": float(np.exp((np.exp(p) * (p - mean)).sum(axis=1).mean())),
        "CLAP score": float((x * texts).sum(axis=1).mean()),
    }


def plain_loop(
    generated: ClipSet, reference: ClipSet, settings: Settings, n_part: int
) -> tuple[dict[str, Seconds], dict[str, float]]:
    """Return the seconds of the loop with four and with all scores, and the four scores.

    Cached features stand in for those of the clips that are not timed.
    """
    cache = Cache(settings.cache)
    clap = find_embedder("clap")
    assert isinstance(clap, ClapEmbedder)
    extractor = FeatureExtractor("clap", clap, clap.preprocessing)
    part, n_parts = generated.clips[:n_part], len(generated.clips) / n_part
    read_s, waveforms = timed(lambda: read_each(part, clap))
    texts_s, _ = timed(lambda: [clap.embed_texts([clip.caption]) for clip in part])
    levels_s, _ = timed(lambda: [measure(waveform, RATE) for waveform in waveforms])

    levels, (of_generated,) = extract_all(generated, [extractor], cache)
    of_reference = extract_features(reference, extractor, cache)
    captions = [clip.caption for clip in generated.clips]
    texts = embed_texts(captions, clap, cache)
    four_s, four = timed(lambda: four_scores(of_generated, of_reference, texts))

    def all_scores() -> None:
        level_section(levels, settings.bootstrap)
        inputs = Inputs(generated=of_generated, reference=of_reference, texts=texts, paired=True)
        embedder_section(extractor, inputs, settings.protocol, settings.bootstrap, [])

    all_s, _ = timed(all_scores)
    features_s = read_s.times(2 * n_parts) + texts_s.times(n_parts)
    every_s = features_s + levels_s.times(2 * n_parts) + all_s
    return {"four scores": features_s + four_s, "all scores": every_s}, four


def compare(folder: Path, n: int, n_part: int) -> dict[str, Any]:
    """Return the seconds of every way, and their ratios."""
    made, real = write_set(folder / "made", n, 1), write_set(folder / "real", n, 2)
    find_embedder("clap").embed([np.zeros(RATE, np.float32)])  # what is loaded once is loaded
    settings = Settings(cache=folder / "cache")
    first_s, first = timed(lambda: evaluate(made, real, settings))
    again_s, again = timed(lambda: evaluate(made, real, settings))
    assert first.to_record() == again.to_record()

    plain, four = plain_loop(made, real, settings, n_part)
    scores = {score.name: score.value for section in first.sections for score in section.scores}
    for name, value in four.items():
        np.testing.assert_allclose(scores[name], value, rtol=1e-3, err_msg=name)
    ways = {"evaluate, empty cache": first_s, "evaluate, full cache": again_s}
    loops = {f"plain loop, {what}": seconds for what, seconds in plain.items()}
    return {
        "clips_per_set": n,
        "plain_loop_timed_on": n_part,
        "seconds": {what: seconds.record() for what, seconds in (ways | loops).items()},
        "ratios": {
            f"{loop} / {way}": slow.over(fast)
            for loop, slow in loops.items()
            for way, fast in ways.items()
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=1000, help="in each of both sets")
    parser.add_argument("--plain", type=int, default=200, help="clips that the loop is timed on")
    parser.add_argument("--out", type=Path, default=HERE / "speed.json")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    try:
        report = compare(folder, arguments.clips, arguments.plain)
    finally:
        shutil.rmtree(folder)
    report = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}, "
        f"{torch.get_num_threads()} threads in the loop's network",
        "load_average": round(os.getloadavg()[0], 1),
        "duration_s": DURATION_S,
    } | report
    arguments.out.write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
