"""A training step of ours beside the authors' (`authors.py`): `python benchmarks/training/step.py`.

The denoiser is S on a batch of two clips of 10.24 s, the VAE that of S on one clip of 5.12 s with
its adversary on. Ours is what `latentfoley train` does: bf16, for the denoiser on latents and
embeddings that are computed once. Each figure comes from a process of its own, ours and theirs in
turns, a step to warm up not counted. Writes `benchmarks/training/step.json`: seconds per step by
the clock and of all threads (which a busy machine disturbs less), the peak of the resident memory
(VmHWM) with imports and weights, and the ratios pair by pair.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import soundfile
import torch
from safetensors.torch import save_model

from latentfoley.checkpoints import kinds, layout, towers
from latentfoley.checkpoints.json_files import write_json
from latentfoley.config import ClapFrontEnd
from latentfoley.data.encode import encode
from latentfoley.data.encoder import Source
from latentfoley.data.metadata import Entry, write_manifest
from latentfoley.data.prepare import prepare
from latentfoley.data.variations import Augmentation
from latentfoley.presets import small
from latentfoley.vae import Vae
from latentfoley.vocoder import Vocoder

HERE = Path(__file__).parent
PAIRS = 2
N_STEPS = 3  # so that the authors' condition comes once from sounds and twice from texts
N_FRAMES, VAE_FRAMES = 1024, 512
RATE = 16_000
N_RECORDINGS = 4
EPS = {"text": {"layer_norm_eps": 1e-12}}  # which a folder has to say


class Steps(Protocol):
    """Something that takes training steps."""

    def step(self, step: int) -> object: ...


def write_all(folder: Path) -> None:
    """Write parts of the published sizes with random weights, recordings, and their latents."""
    write_parts(folder)
    sounds = folder / "sounds"
    sounds.mkdir()
    entries = []
    for k, waveform in enumerate(waveforms(N_RECORDINGS)):
        soundfile.write(sounds / f"{k}.wav", waveform, RATE)
        entries.append(Entry(path=f"{k}.wav", split="valid" if k == 0 else "train"))
    write_manifest(sounds / "manifest.jsonl", entries)
    prepare(sounds, folder / "prepared", workers=1, held_out=0.0)
    duration_s = N_FRAMES * 160 / RATE
    source = Source(duration_s=duration_s, vae=folder, clap=folder)
    encode(folder / "prepared", folder / "latents", source, Augmentation())


def write_parts(folder: Path) -> None:
    """Write VAE, CLAP and vocoder."""
    config = small()
    layout.write_vae(folder / "vae", config.vae, Vae(config.vae).state_dict())
    layout.write_vocoder(folder / "vocoder", config.vocoder, Vocoder(config.vocoder).state_dict())
    for name, network in (("text", towers.text_network), ("audio", towers.audio_network)):
        values = {"model_type": f"clap_{name}_model"}
        write_json(folder / f"{name}_encoder" / "config.json", values | EPS.get(name, {}))
        weights = folder / f"{name}_encoder" / kinds.TRANSFORMERS_WEIGHTS
        save_model(network(values), str(weights), metadata={"format": "pt"})
    layout.write_front_end(folder / "feature_extractor", ClapFrontEnd())
    tokenizer = Path(layout.__file__).parents[1] / "resources" / "tiny" / "tokenizer"
    (folder / "tokenizer").mkdir()
    for file in tokenizer.iterdir():
        (folder / "tokenizer" / file.name).write_bytes(file.read_bytes())


def waveforms(count: int) -> np.ndarray:
    """Return clips of 10.24 s of noise whose level changes."""
    rng = np.random.default_rng(0)
    n_samples = N_FRAMES * 160
    swell = 0.3 + 0.2 * np.sin(np.linspace(0, 20, n_samples))
    return np.asarray(swell * rng.uniform(-1, 1, (count, n_samples)), dtype=np.float32)


def our_denoiser(folder: Path) -> Steps:
    """Return what `latentfoley train diffusion` steps."""
    from latentfoley.training.diffusion import DiffusionTask
    from latentfoley.training.diffusion_recipe import DiffusionRecipe

    parts = dict.fromkeys(("vae", "clap", "vocoder"), str(folder))
    recipe = _recipe(folder, batch_size=2, data={"latents": folder / "latents"}, **parts)
    recipe["model"] = small().unet.model_dump()
    return DiffusionTask(DiffusionRecipe.parse(recipe, where="recipe"), torch.device("cpu"))


def our_vae(folder: Path) -> Steps:
    """Return what `latentfoley train vae` steps, with its adversary on."""
    from latentfoley.training.vae import VaeRecipe, VaeTask

    sounds = folder / "sounds"
    data = {"manifest": sounds / "manifest.jsonl", "folder": sounds}
    recipe = _recipe(folder, batch_size=1, data=data, crop_frames=VAE_FRAMES)
    recipe["model"] = small().vae.model_dump()
    return VaeTask(VaeRecipe.parse(recipe, where="recipe"), torch.device("cpu"))


def authors_denoiser(folder: Path) -> Steps:
    """Return the same of the authors' trainer."""
    from authors import AuthorsDenoiser

    return AuthorsDenoiser(waveforms(2))


def authors_vae(folder: Path) -> Steps:
    """Return the same of the authors' trainer."""
    from authors import AuthorsVae

    return AuthorsVae(waveforms(1)[:, : VAE_FRAMES * 160])


STEPPERS = {
    "denoiser": {"ours": our_denoiser, "authors": authors_denoiser},
    "vae": {"ours": our_vae, "authors": authors_vae},
}


def _recipe(folder: Path, *, batch_size: int, **values: Any) -> dict[str, Any]:
    run = {"folder": folder / "run", "steps": 100, "batch_size": batch_size, "learning_rate": 1e-4}
    return {"run": run, **values}


def take_steps(name: str, who: str, folder: Path) -> None:
    """Take steps and print seconds per step and the peak of the memory."""
    stepper = STEPPERS[name][who](folder)
    stepper.step(0)
    start, cpu_start = time.perf_counter(), time.process_time()
    for k in range(1, N_STEPS + 1):
        stepper.step(k)
    step_s, cpu_s = time.perf_counter() - start, time.process_time() - cpu_start
    lines = Path("/proc/self/status").read_text().splitlines()
    peak = 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])
    report = {"step_s": step_s / N_STEPS, "cpu_s": cpu_s / N_STEPS, "peak_GB": peak / 1e9}
    print(json.dumps(report))


def measure(name: str, who: str, folder: Path) -> dict[str, float]:
    """Take steps in a new process and return what it reports."""
    words = [sys.executable, __file__, name, who, str(folder)]
    end = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True)
    report: dict[str, float] = json.loads(end.stdout.splitlines()[-1])
    print(name, who, report, flush=True)
    return report


def compare(name: str, folder: Path) -> dict[str, Any]:
    """Measure both in turns and return medians, and the ratios of each pair."""
    runs: dict[str, list[dict[str, float]]] = {"ours": [], "authors": []}
    for _ in range(PAIRS):
        for who, several in runs.items():
            several.append(measure(name, who, folder))
    report: dict[str, Any] = {
        who: {key: round(statistics.median(run[key] for run in several), 2) for key in several[0]}
        for who, several in runs.items()
    }
    ratios = {
        "step_s": "times faster",
        "cpu_s": "times less computing",
        "peak_GB": "times less memory",
    }
    for key, said in ratios.items():
        pairs = zip(runs["authors"], runs["ours"], strict=True)
        report[said] = [round(theirs[key] / ours[key], 2) for theirs, ours in pairs]
    return report


def main() -> None:
    if len(sys.argv) > 1:
        take_steps(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
        return
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_all(folder)
        compared = {name: compare(name, folder) for name in STEPPERS}
    report = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}",
        "threads": torch.get_num_threads(),
        "pairs": PAIRS,
        "steps in a run": N_STEPS,
        **compared,
    }
    (HERE / "step.json").write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
