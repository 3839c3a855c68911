"""Does the model know what it knows? `python benchmarks/tiny/known.py`.

Prompts of kinds that it was trained on should pass, prompts of other kinds should be said to be
far. The known texts are the training captions; of the prompts, which are none of these, the odd
ones choose the threshold (the least sum of both rates) and the even ones are reported. Writes
`benchmarks/tiny/known.json`, and with `--write` the list of kinds into the model's folder. `--kinds
fifty` is for a model trained on all kinds of `kinds.toml`.
"""

import argparse
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
# Files of prompts that are known, and the one of prompts that are not.
PROMPTS = {
    "ten": (["prompts"], "prompts-esc50"),
    "fifty": (["prompts", "prompts-esc50"], "prompts-unknown"),
}
BATCH = 32


def known_texts(kinds: str) -> list[tuple[str, str]]:
    """Return every training caption with the name of its kind; Sonic Pi's kinds by a caption."""
    if kinds == "fifty":
        tables = tomllib.loads((RECIPES / "kinds.toml").read_text(encoding="utf-8"))["kinds"]
        return [(kind, text) for kind, values in tables.items() for text in values["captions"]]
    tables = tomllib.loads((RECIPES / "captions.toml").read_text(encoding="utf-8"))
    esc10 = [(kind, text) for kind, texts in tables["esc10"].items() for text in texts]
    return esc10 + [(texts[0], text) for texts in tables["sonicpi"].values() for text in texts]


def prompts(name: str) -> list[str]:
    """Return all prompts of one of the benchmark's files."""
    table = tomllib.loads((HERE / f"{name}.toml").read_text(encoding="utf-8"))
    return [prompt for some in table.values() for prompt in some]


def signatures(tower: TextTower, texts: list[str]) -> torch.Tensor:
    """Return the signatures of any number of texts."""
    parts = [tower.signatures(texts[i : i + BATCH]) for i in range(0, len(texts), BATCH)]
    return torch.cat(parts)


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
    parser.add_argument("--kinds", choices=PROMPTS, default="ten", help="what it was trained on")
    parser.add_argument("--out", type=Path, default=HERE / "known.json")
    parser.add_argument("--write", action="store_true", help="write the list into the model")
    arguments = parser.parse_args()
    folder = find_folder(arguments.model)
    tower = TextTower.load(folder)
    kinds, texts = zip(*known_texts(arguments.kinds), strict=True)
    K = signatures(tower, list(texts))

    def nearest(name: str) -> np.ndarray:
        return (signatures(tower, prompts(name)) @ K.T).max(dim=1).values.numpy()

    known_prompts, unknown_prompts = PROMPTS[arguments.kinds]
    known = np.concatenate([nearest(name) for name in known_prompts])
    unknown = nearest(unknown_prompts)
    threshold = choose(known[1::2], unknown[1::2])
    report = {
        "threshold": threshold,
        "known prompts": len(known[::2]),
        "unknown prompts": len(unknown[::2]),
        **rates(known[::2], unknown[::2], threshold),
        "area under the curve": round(float((known[:, None] > unknown).mean()), 4),
    }
    arguments.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(report, indent=2))
    if arguments.write:
        write_known_kinds(folder, KnownKinds(kinds, K, threshold))


if __name__ == "__main__":
    main()
