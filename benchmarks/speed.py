"""The published size S on a CPU in fp32, beside diffusers: `python benchmarks/speed.py`.

One folder of random weights is loaded by both. Stage by stage the two sides compute the same input
in turn, on as many threads as torch takes (`OMP_NUM_THREADS`): a guided step of 10.24 s, the
decoding of its latent, and a quarter of its frames through HiFi-GAN. Then a clip by each side's
networks, from the same noise in few steps of DDIM, for the difference of the waveforms. Writes
`benchmarks/speed.json`: medians of CPU seconds of this process, the median of the ratios of
neighbours, and from those what clips of several numbers of steps take.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor

import latentfoley
from latentfoley.devices import cpu_flags, cpu_name
from latentfoley.diffusion import guided
from latentfoley.notation import Latent
from latentfoley.presets import small
from latentfoley.samplers import make_plan, sample
from loading import write_random

OUT = Path(__file__).with_suffix(".json")
STEPS = (8, 25, 200)
GUIDANCE = 2.5
Side = Callable[[], Tensor]


def open_sides(folder: Path) -> tuple[latentfoley.Model, Any, Any, Any]:
    """Return our model, and diffusers' UNet, VAE and vocoder, of one folder."""
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import SpeechT5HifiGan

    kinds = {"unet": UNet2DConditionModel, "vae": AutoencoderKL, "vocoder": SpeechT5HifiGan}
    theirs = [kind.from_pretrained(folder / name).eval() for name, kind in kinds.items()]
    # The function that diffusers computes, so that the two can be compared.
    model = latentfoley.load(folder, device="cpu", dtype="fp32", compat="diffusers")
    return model, *theirs


def compare(ours: Side, theirs: Side, runs: int) -> dict[str, float]:
    """Time two sides in turn, once unheard, and say how far apart they are."""
    difference = float((ours() - theirs()).abs().max())
    times = [(cpu_seconds(theirs), cpu_seconds(ours)) for _ in range(runs)]
    return {
        "diffusers_s": round(median(t for t, _ in times), 2),
        "latentfoley_s": round(median(o for _, o in times), 2),
        "ratio": round(median(t / o for t, o in times), 2),
        "largest_difference": float(f"{difference:.1e}"),
    }


def cpu_seconds(side: Side) -> float:
    """Return the CPU seconds of one call."""
    start = time.process_time()
    side()
    return time.process_time() - start


def main() -> None:
    """Measure every stage and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--steps", type=int, default=3, help="of the two clips that are compared")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as place, torch.no_grad():
        write_random(Path(place) / "model", small())
        report = measure(*open_sides(Path(place) / "model"), arguments.runs, arguments.steps)
    machine = f"{cpu_name()} ({', '.join(cpu_flags())}), {torch.get_num_threads()} threads of "
    machine += f"{os.cpu_count()} cores, torch {torch.__version__}"
    OUT.write_text(
        json.dumps({"machine": machine, "runs": arguments.runs} | report, indent=1) + "\n"
    )
    print(OUT.read_text())


def measure(
    model: latentfoley.Model, unet: Any, vae: Any, vocoder: Any, runs: int, steps: int
) -> dict[str, Any]:
    """Return the figures of every stage, of whole clips, and of the two waveforms."""
    z, n = torch.randn(2, 8, 256, 16), torch.full((2,), 500.0)
    E = torch.nn.functional.normalize(torch.randn(2, 512), dim=1)
    scale = model.config.vae.scaling_factor

    def denoise(z: Latent, n: Tensor, E: Tensor) -> Latent:
        return unet(z, n, None, class_labels=E).sample

    def decode(z: Latent) -> Tensor:
        return vae.decode(z / scale).sample

    log_mel = model.decode(z[:1])
    quarter = log_mel[:, :, :256]
    stages = {
        "guided step": compare(lambda: model.unet(z, n, E), lambda: denoise(z, n, E), runs),
        "VAE decoder": compare(lambda: model.decode(z[:1]), lambda: decode(z[:1]), runs),
        "HiFi-GAN, a quarter": compare(
            lambda: model.vocoder(quarter), lambda: vocoder(quarter[:, 0]), runs
        ),
    }
    waveforms = []
    plan = make_plan("ddim", model.schedule, steps)
    for network, decoder in ((model.unet, model.decode), (denoise, decode)):
        z_0 = sample(guided(network, E[:1], E[1:], GUIDANCE), z[:1], plan)
        waveforms.append(model.vocoder(decoder(z_0)))
    ours, theirs = waveforms
    return stages | {
        "clips": {f"{k} steps": whole(stages, k) for k in STEPS},
        "waveforms": {
            "steps": steps,
            "largest_difference": float(f"{(ours - theirs).abs().max():.1e}"),
            "peak": round(float(theirs.abs().max()), 3),
        },
    }


def whole(stages: dict[str, dict[str, float]], steps: int) -> dict[str, float]:
    """Return the sum of the stages of a clip of 10.24 s."""
    counts = dict(zip(stages, (steps, 1, 4), strict=True))
    ours, theirs = (
        sum(counts[name] * stage[side] for name, stage in stages.items())
        for side in ("latentfoley_s", "diffusers_s")
    )
    return {
        "diffusers_s": round(theirs, 1),
        "latentfoley_s": round(ours, 1),
        "ratio": round(theirs / ours, 2),
    }


if __name__ == "__main__":
    main()
