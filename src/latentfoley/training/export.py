"""A finished run of diffusion training → a model folder that everything loads."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from latentfoley.checkpoints import layout
from latentfoley.checkpoints.adapter import read_adapter
from latentfoley.checkpoints.json_files import write_json
from latentfoley.checkpoints.parts import Parts, write_folder
from latentfoley.checkpoints.tensors import Stored, as_half
from latentfoley.errors import RecipeError, nearest_files
from latentfoley.files import aside
from latentfoley.training.base_model import open_base_model, read_stored_recipe
from latentfoley.training.diffusion import RECIPE
from latentfoley.training.record import history

C = TypeVar("C")


def export_model(run: Path, out: Path, *, half: bool = False) -> int:
    """Write a run's denoiser with all that it was trained for, adapters merged; return the bytes.

    Args:
        run: the folder of a run that `latentfoley train diffusion` has finished.
        out: a model folder to write.
        half: store fp16; loading returns to fp32.

    Raises:
        RecipeError: the run has not finished.
        ModelError: `out` exists already, or a part of the model is not there any more.
    """
    made = _finished(run)
    recipe = read_stored_recipe(made / RECIPE)
    parts = open_base_model(recipe)
    if recipe.lora is None:
        unet = layout.open_unet(made / "unet")
    else:
        unet = read_adapter(made / "adapter").merge(parts.unet)
    about = parts.about.model_copy(update={"training": history(run)})
    parts = replace(parts, unet=unet, about=about)
    return write_folder(_halved(parts) if half else parts, out)


def export_adapter(run: Path, out: Path) -> int:
    """Copy the adapter of a run in peft's form; return the bytes.

    What it was trained from and the history of the run lie beside it, in `latentfoley.json`.

    Raises:
        RecipeError: the run has not finished, trained no adapter, or `out` exists already.
    """
    made = _finished(run)
    adapter = made / "adapter"
    if not adapter.is_dir():
        raise RecipeError(f"{run} trained all weights and holds no adapter: export it without")
    if out.exists():
        raise RecipeError(f"{out} exists already; give the name of a new folder")
    with aside(out) as part:
        shutil.copytree(adapter, part)
        about = {"trained_from": str(read_stored_recipe(made / RECIPE).start)}
        write_json(part / layout.DESCRIPTION, {**about, "training": history(run)})
    return sum(file.stat().st_size for file in out.iterdir())


def _finished(run: Path) -> Path:
    """Return the folder of what a run has made."""
    made = run / "model"
    if not (made / RECIPE).is_file():
        hint = nearest_files(run) if not run.exists() else ""
        raise RecipeError(
            f"{made / RECIPE} is missing: give the folder of a finished run of `latentfoley train "
            f"diffusion`.{hint}"
        )
    return made


def _halved(parts: Parts) -> Parts:
    """Return a model with every weight in fp16."""
    return replace(
        parts,
        unet=_half(parts.unet),
        vae=_half(parts.vae),
        vocoder=_half(parts.vocoder),
        text=_half(parts.text),
        audio=parts.audio and _half(parts.audio),
    )


def _half(stored: Stored[C]) -> Stored[C]:
    return replace(stored, weights=as_half(stored.weights))
