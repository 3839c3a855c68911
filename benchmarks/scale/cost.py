"""What the paper's training and a million clips cost in GPU hours, from measured speeds.

    python benchmarks/scale/cost.py

Speeds are those of `benchmarks/gpu.json`: size S, one GPU, clips of 10.24 s. Memory is counted from
the parameters of the published sizes. Writes `cost.json`.
"""

import json
from pathlib import Path

import torch

from latentfoley.presets import large, medium, small
from latentfoley.unet import Unet

HERE = Path(__file__).parent
STEPS, BATCH = 600_000, 8  # of the paper
CLIPS, TOGETHER = 1_000_000, 8
COPIES = {"weights": 1, "gradients": 1, "Adam": 2, "moving average": 1}  # in fp32


def n_parameters(config: object) -> int:
    """Return the parameters of a UNet, without making them."""
    with torch.device("meta"):
        return sum(p.numel() for p in Unet(config).parameters())  # type: ignore[arg-type]


def main() -> None:
    """Compute and write."""
    gpu = json.loads((HERE.parent / "gpu.json").read_text())
    steps_per_s = gpu[f"train, batch {BATCH}, bf16"]["steps_per_s"]
    seconds = gpu[f"generate {TOGETHER}, bf16"]["seconds"]
    sizes = {"S": small(), "M": medium(), "L": large()}
    counts = {name: n_parameters(config.unet) for name, config in sizes.items()}
    found = {
        "measured_on": gpu["machine"],
        "training": {
            "size": "S",
            "steps": STEPS,
            "batch": BATCH,
            "steps_per_s": steps_per_s,
            "gpu_hours": round(STEPS / steps_per_s / 3600, 1),
        },
        "clips": {
            "size": "S",
            "clips": CLIPS,
            "duration_s": gpu["duration_s"],
            "steps": gpu["steps"],
            "seconds_for_8": seconds,
            "gpu_hours": round(CLIPS / TOGETHER * seconds / 3600, 1),
        },
        "denoiser": {
            name: {
                "parameters": n,
                "GB_of_training_state": round(4 * n * sum(COPIES.values()) / 1e9, 1),
            }
            for name, n in counts.items()
        },
    }
    (HERE / "cost.json").write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
