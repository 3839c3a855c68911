"""Does the model know what it knows? `python benchmarks/tiny/known.py`.

Prompts of kinds that it was trained on should pass, prompts of other kinds should be said to be
far. The known texts are the training captions of `kinds.toml`, without those that another of the
same kind is near to; of the prompts, which are none of these, the odd ones choose the threshold
(the least sum of both rates) and the even ones are reported. Writes `benchmarks/tiny/known.json`,
and with `--write` the list of kinds into the model's folder.
"""

import argparse
import itertools
import json
import tomllib
from pathlib import Path

import numpy as np
import torch

from latentfoley.checkpoints.known_kinds import write_known_kinds
from latentfoley.clap import TextTower
from latentfoley.known import KnownKinds
from latentfoley.loading import find_folder

HERE = Path(__file__).parent
RECIPES = HERE.parents[1] / "recipes" / "tiny"
KNOWN, UNKNOWN = ("prompts", "prompts-esc50"), "prompts-unknown"  # files of prompts
NEAR = 0.8  # cosine of two texts of a kind of which one is enough


def known_texts() -> list[tuple[str, str]]:
    """Return every training caption of a kind with the kind's name."""
    tables = tomllib.loads((RECIPES / "kinds.toml").read_text(encoding="utf-8"))["kinds"]
    return [
        (kind, text)
        for kind, values in tables.items()
        for text in values["captions"] + values.get("also", [])
    ]


def prompts(name: str) -> list[str]:
    """Return all prompts of one of the benchmark's files."""
    table = tomllib.loads((HERE / f"{name}.toml").read_text(encoding="utf-8"))
    return [prompt for some in table.values() for prompt in some]


def spread(kinds: tuple[str, ...], vectors: torch.Tensor) -> list[int]:
    """Return which texts to keep: each in turn, unless one of its kind is near that was kept."""
    cosines = vectors @ vectors.T
    kept: dict[str, list[int]] = {}
    for k, kind in enumerate(kinds):
        of_kind = kept.setdefault(kind, [])
        if not of_kind or cosines[k, of_kind].max() <= NEAR:
            of_kind.append(k)
    return sorted(itertools.chain.from_iterable(kept.values()))


def rates(known: np.ndarray, unknown: np.ndarray, threshold: float) -> dict[str, float]:
    """Return how many known prompts are warned of, and how many unknown ones are not."""
    return {
        "known prompts warned of": round(float((known < threshold).mean()), 4),
        "unknown prompts not warned of": round(float((unknown >= threshold).mean()), 4),
    }


def choose(known: np.ndarray, unknown: np.ndarray) -> float:
    """Return the threshold, to two places, with the least sum of both rates."""
    grid = np.arange(0.3, 1, 0.01).round(2)
    return float(min(grid, key=lambda t: sum(rates(known, unknown, t).values())))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--out", type=Path, default=HERE / "known.json")
    parser.add_argument("--write", action="store_true", help="write the list into the model")
    arguments = parser.parse_args()
    folder = find_folder(arguments.model)
    tower = TextTower.load(folder)
    kinds, texts = zip(*known_texts(), strict=True)
    K = tower.signatures(list(texts))
    kept = spread(kinds, K)
    K = K[kept]

    def nearest(name: str) -> np.ndarray:
        return (tower.signatures(prompts(name)) @ K.T).max(dim=1).values.numpy()

    known = np.concatenate([nearest(name) for name in KNOWN])
    unknown = nearest(UNKNOWN)
    threshold = choose(known[1::2], unknown[1::2])
    report = {
        "threshold": threshold,
        "known texts": len(kept),
        "known prompts": len(known[::2]),
        "unknown prompts": len(unknown[::2]),
        **rates(known[::2], unknown[::2], threshold),
        "area under the curve": round(float((known[:, None] > unknown).mean()), 4),
    }
    arguments.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(report, indent=2))
    if arguments.write:
        write_known_kinds(folder, KnownKinds(tuple(kinds[k] for k in kept), K, threshold))


if __name__ == "__main__":
    main()
