"""Ten million feature vectors streamed into a Fréchet distance: memory, time, and equality with the
plain way on a part.

    OMP_NUM_THREADS=1 python benchmarks/scale/frechet.py
"""

import argparse
import json
import resource
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from latentfoley.evaluation.metrics.frechet import frechet_distance
from latentfoley.evaluation.metrics.streaming import Moments, streamed_frechet_distance

WIDTH, BLOCK, PART = 128, 10_000, 20_000  # VGGish is as wide


def blocks(n: int, seed: int) -> Iterator[np.ndarray]:
    """Yield random rows that are correlated."""
    rng = np.random.default_rng(seed)
    mix = rng.normal(size=(WIDTH, WIDTH)) / WIDTH**0.5
    for _ in range(n // BLOCK):
        yield rng.normal(size=(BLOCK, WIDTH)) @ mix + 0.1 * seed


def peak_mb() -> float:
    """Return the most memory this process has had."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=10_000_000)
    n = parser.parse_args().rows
    reference = Moments.of(blocks(PART, 1))
    Moments.of(blocks(10 * BLOCK, 0))
    at_first, began = peak_mb(), time.monotonic()
    distance = streamed_frechet_distance(Moments.of(blocks(n, 0)), reference)
    seconds, at_last = time.monotonic() - began, peak_mb()
    part = streamed_frechet_distance(Moments.of(blocks(PART, 0)), reference)
    plain = frechet_distance(
        np.concatenate(list(blocks(PART, 0))), np.concatenate(list(blocks(PART, 1)))
    )
    found = {
        "rows": n,
        "width": WIDTH,
        "seconds_with_drawing_the_rows": round(seconds, 1),
        "peak_MB_after_100000_rows": at_first,
        "peak_MB_after_all": at_last,
        "distance": distance,
        "relative_difference_to_plain_on_20000": abs(part - plain) / plain,
    }
    Path(__file__).with_suffix(".json").write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
