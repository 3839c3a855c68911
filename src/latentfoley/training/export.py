"""Finished runs → one model folder that everything loads."""

import json
import shutil
from pathlib import Path

from safetensors.torch import load_file, save_file

from latentfoley.checkpoints import layout
from latentfoley.checkpoints.json_files import read_json
from latentfoley.checkpoints.tensors import as_half
from latentfoley.errors import RecipeError

PARTS = {
    "clap": ("text_encoder", "tokenizer", "audio_encoder", "feature_extractor"),
    "vae": ("vae",),
    "vocoder": ("vocoder",),
    "diffusion": ("unet", "scheduler"),
}


def export_model(runs: Path, out: Path, *, half: bool, phase_iterations: int = 0) -> int:
    """Copy each run's exported parts into `out`, with index and schedule; return its bytes.

    Everything is put together aside and moved at the end: `out` is whole or absent.

    Raises:
        RecipeError: `out` exists already, or a run has not finished.
    """
    if out.exists():
        raise RecipeError(f"{out} exists already; give the name of a new folder")
    sources = [(run, runs / run / "model" / part) for run, parts in PARTS.items() for part in parts]
    for run, source in sources:
        if not source.is_dir():
            raise RecipeError(f"{source} is missing: has `latentfoley train {run}` finished?")
    aside = out.with_name(out.name + ".tmp")
    shutil.rmtree(aside, ignore_errors=True)
    for _, source in sources:
        shutil.copytree(source, aside / source.name)
    layout.write_description(aside, layout.Description(phase_iterations=phase_iterations))
    layout.write_index(aside, _tokenizer_class(aside))
    _compact(aside / "tokenizer" / "tokenizer.json")
    if half:
        _halve(aside)
    aside.replace(out)
    return sum(file.stat().st_size for file in out.glob("**/*") if file.is_file())


def _tokenizer_class(folder: Path) -> str:
    values = read_json(folder / "tokenizer" / "tokenizer_config.json")
    return str(values["tokenizer_class"])


def _compact(path: Path) -> None:
    """Rewrite the tokenizer's JSON without indentation, which is a third of its size."""
    if path.is_file():
        values = json.loads(path.read_text(encoding="utf-8"))
        text = json.dumps(values, ensure_ascii=False, separators=(",", ":"))
        path.write_text(text, encoding="utf-8")


def _halve(folder: Path) -> None:
    """Rewrite every weight file in fp16; configs stay, loading returns to fp32."""
    for file in folder.glob("*/*.safetensors"):
        save_file(as_half(load_file(file)), file, metadata={"format": "pt"})
