"""What loading S costs, beside diffusers: `python benchmarks/loading.py`.

A folder of the published size with random weights is loaded in a process of its own, once by us and
once by diffusers, in turns; then every weight is read once, since mapped files come in only when
touched. Writes `benchmarks/loading.json`: seconds, and the peak of the resident memory (VmHWM)
while loading, and after every weight was read, the latter also above what the imports alone take.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

from latentfoley.checkpoints import kinds, layout, tensors, towers
from latentfoley.checkpoints.json_files import write_json
from latentfoley.config import ModelConfig, ScheduleConfig
from latentfoley.presets import small
from latentfoley.unet import Unet
from latentfoley.vae import Vae
from latentfoley.vocoder import Vocoder

RUNS = 3
HERE = Path(__file__).parent
TEXT = {"model_type": "clap_text_model", "layer_norm_eps": 1e-12}

MEASURE = """
import json, sys, time
from pathlib import Path

def memory(field):
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(l for l in lines if l.startswith(field)).split()[1])

{imports}
imported = memory("VmHWM")
start = time.perf_counter()
{load}
loaded = time.perf_counter()
after_load = memory("VmHWM")
total = sum(float(p.sum()) for m in modules for p in m.parameters())
touched = time.perf_counter()
print(json.dumps({{
    "load_s": loaded - start, "touch_s": touched - loaded,
    "imports_bytes": imported, "loaded_bytes": after_load, "peak_bytes": memory("VmHWM"),
}}))
"""
LOADERS = {
    "latentfoley": (
        "import latentfoley\nfrom latentfoley.pipeline import Model\n"
        "from latentfoley.loading import load\nimport transformers.models.clap.modeling_clap",
        "model = load(sys.argv[1], device='cpu')\n"
        "modules = [model.unet, model.vae, model.vocoder, model.text.model]",
    ),
    "diffusers": (
        "from diffusers import AudioLDMPipeline, UNet2DConditionModel, AutoencoderKL\n"
        "import transformers.models.clap.modeling_clap\n"
        "from transformers import SpeechT5HifiGan",
        "model = AudioLDMPipeline.from_pretrained(sys.argv[1])\n"
        "modules = [model.unet, model.vae, model.vocoder, model.text_encoder]",
    ),
}


def write_random(folder: Path, config: ModelConfig) -> int:
    """Write a model of that size with random weights and return the bytes of its weights."""
    layout.write_unet(folder / "unet", config.unet, Unet(config.unet).state_dict())
    layout.write_vae(folder / "vae", config.vae, Vae(config.vae).state_dict())
    layout.write_vocoder(folder / "vocoder", config.vocoder, Vocoder(config.vocoder).state_dict())
    layout.write_schedule(folder / "scheduler", ScheduleConfig())
    write_json(folder / "text_encoder" / "config.json", TEXT)
    text = towers.text_network(TEXT).state_dict()
    tensors.write_tensors(folder / "text_encoder" / kinds.TRANSFORMERS_WEIGHTS, text)
    tokenizer = Path(layout.__file__).parents[1] / "resources" / "tiny" / "tokenizer"
    (folder / "tokenizer").mkdir()
    for file in tokenizer.iterdir():
        (folder / "tokenizer" / file.name).write_bytes(file.read_bytes())
    layout.write_index(folder, "BertTokenizer")
    return sum(file.stat().st_size for file in folder.glob("*/*.safetensors"))


def measure(name: str, folder: Path) -> dict[str, float]:
    """Load in a new process and return what it reports."""
    imports, load = LOADERS[name]
    program = MEASURE.format(imports=imports, load=load)
    words = [sys.executable, "-c", program, str(folder)]
    end = subprocess.run(words, check=True, capture_output=True, text=True)
    report: dict[str, float] = json.loads(end.stdout.splitlines()[-1])
    return report


def summary(runs: list[dict[str, float]], n_bytes: int) -> dict[str, float]:
    """Return medians of several runs, memory as a share of the weights."""
    median = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
    return {
        "load_s": round(median["load_s"], 2),
        "load_least_s": round(min(run["load_s"] for run in runs), 2),
        "load_most_s": round(max(run["load_s"] for run in runs), 2),
        "read every weight_s": round(median["touch_s"], 2),
        "peak_MB": round(median["peak_bytes"] / 1e6),
        "peak while loading_MB": round(median["loaded_bytes"] / 1e6),
        "imports_MB": round(median["imports_bytes"] / 1e6),
        "peak while loading / weights": round(median["loaded_bytes"] / n_bytes, 3),
        "peak / weights": round(median["peak_bytes"] / n_bytes, 3),
        "(peak - imports) / weights": round(
            (median["peak_bytes"] - median["imports_bytes"]) / n_bytes, 3
        ),
    }


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "S"
        n_bytes = write_random(folder, small())
        runs: dict[str, list[dict[str, float]]] = {name: [] for name in LOADERS}
        for _ in range(RUNS):
            for name in LOADERS:
                runs[name].append(measure(name, folder))
    report = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}",
        "threads": torch.get_num_threads(),
        "runs": RUNS,
        "weights_MB": round(n_bytes / 1e6),
        **{name: summary(several, n_bytes) for name, several in runs.items()},
    }
    (HERE / "loading.json").write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
