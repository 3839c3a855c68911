"""The page on runs states what was measured of steps, on a CPU and on a GPU."""

import json
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "training-runs.md").read_text(encoding="utf-8")


def report(name):
    return json.loads((ROOT / "benchmarks" / name).read_text(encoding="utf-8"))


def test_steps_beside_the_authors():
    step = report("training/step.json")
    for name in ("denoiser", "vae"):
        ours, theirs = step[name]["ours"], step[name]["authors"]
        first, second = step[name]["times faster"]
        assert (
            f"| {ours['step_s']} | {theirs['step_s']} | {first} and {second} "
            f"| {ours['peak_GB']} GB | {theirs['peak_GB']} GB |" in PAGE
        )
        assert min(first, second) >= 2


def test_steps_on_a_gpu():
    gpu = report("gpu.json")
    for batch_size in (2, 8, 32):
        figures = gpu[f"train, batch {batch_size}, bf16"]
        row = f"| {batch_size} | {figures['steps_per_s']:.1f} | {figures['peak_GB']:.1f} GB |"
        assert row in PAGE, row


def test_memory_of_generating_on_a_gpu():
    gpu, models = report("gpu.json"), (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    for name in ("generate 1, fp32", "generate 1, bf16", "generate 8, bf16"):
        assert f"{gpu[name]['peak_GB']:.1f} GB" in models
