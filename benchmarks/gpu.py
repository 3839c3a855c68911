"""What the published size S costs on a GPU, with random weights: `python benchmarks/gpu.py`.

Generating clips of 10.24 s in 25 guided steps of dpm++, and training steps of the denoiser on
latents of 10.24 s as a cache holds them, in bf16. Warm; medians. Writes `benchmarks/gpu.json`.
"""

import json
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

import latentfoley
from latentfoley.diffusion import Schedule, diffusion_loss
from latentfoley.presets import small
from latentfoley.training.optimisation import Optimisation
from latentfoley.training.recipe import RunRecipe
from latentfoley.unet import Unet

sys.path.insert(0, str(Path(__file__).parent))

from loading import write_random

HERE = Path(__file__).parent
STEPS, DURATION_S = 25, 10.24
REPEATS = 3
TRAINING_STEPS = 12
GPU = torch.device("cuda")


def timed(act: Callable[[], object]) -> dict[str, float]:
    """Return the median seconds of a warm call, and the peak of the GPU's memory."""
    act()
    torch.cuda.reset_peak_memory_stats()
    seconds = []
    for _ in range(REPEATS):
        torch.cuda.synchronize()
        start = time.perf_counter()
        act()
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    peak_GB = torch.cuda.max_memory_allocated() / 1e9
    return {"seconds": round(statistics.median(seconds), 3), "peak_GB": round(peak_GB, 2)}


def generating(folder: Path, dtype: str, n: int) -> dict[str, float]:
    """Time `n` clips at once."""
    model = latentfoley.load(folder, device="cuda", dtype=dtype)
    options = {"duration_s": DURATION_S, "steps": STEPS, "n": n}
    return timed(lambda: model.generate("rain", **options))


def training(batch_size: int) -> dict[str, float]:
    """Time steps of the denoiser: loss, gradient, clipping, AdamW."""
    run = RunRecipe(folder=Path("run"), steps=1, batch_size=batch_size, learning_rate=1e-4)
    config = small().unet
    unet, schedule = Unet(config).to(GPU).train(), Schedule()
    optimisation, optimizer = Optimisation(run, GPU), torch.optim.AdamW(unet.parameters())
    z_0, eps = torch.randn(2, batch_size, config.latent_channels, 256, 16, device=GPU)
    E = torch.randn(batch_size, config.embedding_dim, device=GPU)
    n = torch.randint(0, 1000, (batch_size,), device=GPU)

    def step() -> None:
        with optimisation.autocast():
            loss = diffusion_loss(unet, z_0, E, n, eps, schedule).mean()
        optimisation.step([loss], optimizer)

    report = timed(lambda: [step() for _ in range(TRAINING_STEPS)])
    return report | {"steps_per_s": round(TRAINING_STEPS / report.pop("seconds"), 2)}


def main() -> None:
    report: dict[str, object] = {
        "machine": f"{torch.cuda.get_device_name()}, torch {torch.__version__}, "
        f"Python {platform.python_version()}",
        "steps": STEPS,
        "duration_s": DURATION_S,
    }
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "model"
        write_random(folder, small())
        for dtype, n in (("fp32", 1), ("bf16", 1), ("bf16", 8)):
            report[f"generate {n}, {dtype}"] = generating(folder, dtype, n)
            print(dtype, n, report[f"generate {n}, {dtype}"], flush=True)
    for batch_size in (2, 8, 32):
        report[f"train, batch {batch_size}, bf16"] = training(batch_size)
        print(batch_size, report[f"train, batch {batch_size}, bf16"], flush=True)
    (HERE / "gpu.json").write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
