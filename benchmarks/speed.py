"""The published sizes on a CPU beside diffusers: `python benchmarks/speed.py [S M L]`.

One folder of random weights is loaded three times: by diffusers at its default (fp32), by us in
fp32 ("exact"), and by us at our default, the fastest that the hardware has. Stage by stage
all compute the same input in turn, on as many threads as torch takes (`OMP_NUM_THREADS`): a guided
step of 10.24 s, a step without guidance, the decoding of its latent, and a quarter of its frames
through HiFi-GAN. Then a clip by each side's networks, from the same noise in few steps of DDIM, for
the differences of waveforms and log-mels. Writes `benchmarks/speed.json`: medians of CPU seconds of
this process, of the ratios of neighbours, and from those what whole clips take.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor

import latentfoley
from latentfoley.devices import cpu_flags, cpu_name
from latentfoley.diffusion import GUIDED_SIGMAS, Schedule, guided
from latentfoley.notation import Latent
from latentfoley.presets import large, medium, small
from latentfoley.request import FAST_STEPS
from latentfoley.samplers import make_plan, sample
from loading import write_random

OUT = Path(__file__).with_suffix(".json")
SIZES = {"S": small, "M": medium, "L": large}
STEPS = (8, 25, 200)
GUIDANCE = 2.5
Side = Callable[[], Tensor]
Sides = dict[str, Side]
THEIRS, EXACT, DEFAULT = "diffusers", "exact", "default"


def open_sides(folder: Path) -> tuple[dict[str, latentfoley.Model], Any, Any, Any]:
    """Return our models by name, and diffusers' UNet, VAE and vocoder, of one folder."""
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import SpeechT5HifiGan

    kinds = {"unet": UNet2DConditionModel, "vae": AutoencoderKL, "vocoder": SpeechT5HifiGan}
    theirs = [kind.from_pretrained(folder / name).eval() for name, kind in kinds.items()]
    # The function that diffusers computes, so that the two can be compared.
    ours = {
        name: latentfoley.load(folder, device="cpu", dtype=dtype, compat="diffusers")
        for name, dtype in ((EXACT, "fp32"), (DEFAULT, "auto"))
    }
    return ours, *theirs


def compare(sides: Sides, runs: int) -> dict[str, float]:
    """Time the sides in turn, once unheard, and say how far ours are from diffusers'."""
    said = {name: side().float() for name, side in sides.items()}
    times = [{name: cpu_seconds(side) for name, side in sides.items()} for _ in range(runs)]
    report = {f"{name}_s": round(median(t[name] for t in times), 3) for name in sides}
    for name in (EXACT, DEFAULT):
        report[f"{name}_ratio"] = round(median(t[THEIRS] / t[name] for t in times), 2)
        difference = float((said[name] - said[THEIRS]).abs().max())
        report[f"{name}_largest_difference"] = float(f"{difference:.1e}")
    return report


def cpu_seconds(side: Side) -> float:
    """Return the CPU seconds of one call."""
    start = time.process_time()
    side()
    return time.process_time() - start


def main() -> None:
    """Measure every stage of every size and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("sizes", nargs="*", default=["S"], help="S, M, L")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--out", type=Path, default=OUT, help="a report of another machine")
    parser.add_argument("--steps", type=int, default=3, help="of the clips that are compared")
    arguments = parser.parse_args()
    machine = f"{cpu_name()} ({', '.join(cpu_flags())}), {torch.get_num_threads()} threads of "
    machine += f"{os.cpu_count()} cores, torch {torch.__version__}"
    report: dict[str, Any] = {"machine": machine, "runs": arguments.runs}
    for size in arguments.sizes:
        torch.manual_seed(0)
        with tempfile.TemporaryDirectory() as place, torch.no_grad():
            write_random(Path(place) / "model", SIZES[size]())
            sides = open_sides(Path(place) / "model")
            report[size] = measure(*sides, arguments.runs, arguments.steps)
        arguments.out.write_text(json.dumps(report, indent=1) + "\n")
    print(arguments.out.read_text())


def measure(
    ours: dict[str, latentfoley.Model], unet: Any, vae: Any, vocoder: Any, runs: int, steps: int
) -> dict[str, Any]:
    """Return the figures of every stage, of whole clips, and of what was said."""
    exact = ours[EXACT]
    z, n = torch.randn(2, 8, 256, 16), torch.full((2,), 500.0)
    E = torch.nn.functional.normalize(torch.randn(2, 512), dim=1)
    scale = exact.config.vae.scaling_factor

    def denoise(z: Latent, n: Tensor, E: Tensor) -> Latent:
        return unet(z, n, None, class_labels=E).sample

    def decode(z: Latent) -> Tensor:
        return vae.decode(z / scale).sample

    def vocode(log_mel: Tensor) -> Tensor:
        hop = exact.config.mel.hop_length
        return vocoder(log_mel[:, 0])[:, : hop * log_mel.shape[2]]  # it goes a little beyond

    quarter = exact.decode(z[:1])[:, :, :256]

    def stage(of_ours: Callable[[latentfoley.Model], Tensor], of_theirs: Side) -> dict[str, float]:
        sides = {name: partial(of_ours, model) for name, model in ours.items()}
        return compare({THEIRS: of_theirs} | sides, runs)

    stages = {
        "guided step": stage(lambda m: m.denoiser(z, n, E), lambda: denoise(z, n, E)),
        "step": stage(
            lambda m: m.denoiser(z[:1], n[:1], E[:1]), lambda: denoise(z[:1], n[:1], E[:1])
        ),
        "VAE decoder": stage(lambda m: m.decode(z[:1]), lambda: decode(z[:1])),
        "HiFi-GAN, a quarter": stage(lambda m: m.vocode(quarter), lambda: vocode(quarter)),
    }
    plan = make_plan("ddim", exact.schedule, steps)
    mels, waves = {}, {}
    for name, network, to_mel, to_wave in (
        (THEIRS, denoise, decode, vocode),
        *((name, m.denoiser, m.decode, m.vocode) for name, m in ours.items()),
    ):
        z_0 = sample(guided(network, E[:1], E[1:], GUIDANCE), z[:1], plan)
        mels[name] = to_mel(z_0).float()
        waves[name] = to_wave(mels[name]).float()
    return stages | {
        "default is": ours[DEFAULT].dtype,
        "clips": clips(stages),
        "said": {
            "steps": steps,
            "peak": round(float(waves[THEIRS].abs().max()), 3),
            "exact, largest difference of the waveform": float(
                f"{(waves[EXACT] - waves[THEIRS]).abs().max():.1e}"
            ),
            "default, mean difference of the log-mel, nats": round(
                float((mels[DEFAULT] - mels[THEIRS]).abs().mean()), 4
            ),
        },
    }


def clips(stages: dict[str, dict[str, float]]) -> dict[str, Any]:
    """Return the seconds of clips of 10.24 s: the sum of their stages."""

    def whole(side: str, guided: int, plain: int = 0) -> float:
        counts = (guided, plain, 1, 4)
        found = zip(counts, stages.values(), strict=True)
        return round(sum(count * stage[f"{side}_s"] for count, stage in found), 2)

    low, high = GUIDED_SIGMAS
    levels = make_plan("dpm++", Schedule(), FAST_STEPS).levels[:-1]  # the last is where it arrives
    n_guided = sum(low < level.sigma / level.alpha <= high for level in levels)
    fast = whole(DEFAULT, n_guided, FAST_STEPS - n_guided)
    report: dict[str, Any] = {"fast_s": fast, "fast, guided steps": n_guided}
    for k in STEPS:
        theirs = whole(THEIRS, k)
        report[f"{k} steps"] = {
            "diffusers_s": theirs,
            "exact_s": whole(EXACT, k),
            "default_s": whole(DEFAULT, k),
            "exact_ratio": round(theirs / whole(EXACT, k), 2),
            "default_ratio": round(theirs / whole(DEFAULT, k), 2),
            "fast_ratio": round(theirs / fast, 2),
        }
    return report


if __name__ == "__main__":
    main()
