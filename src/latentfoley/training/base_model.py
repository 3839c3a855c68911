"""Recipe → the base model of a run of diffusion training, opened but not yet read."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from latentfoley.checkpoints import layout, towers
from latentfoley.checkpoints.compat import Choice
from latentfoley.checkpoints.describe import stated_licence
from latentfoley.checkpoints.json_files import read_json
from latentfoley.checkpoints.parts import Parts
from latentfoley.checkpoints.tensors import Stored, hash_weights
from latentfoley.config import MelConfig, ScheduleConfig, UnetConfig, Usage
from latentfoley.files import stored_path
from latentfoley.loading import find_folder, open_model, require_fit
from latentfoley.training.diffusion_recipe import DiffusionRecipe
from latentfoley.training.first_weights import new_unet

# Names of models, or folders.
_MODELS = ("start", "vae", "clap", "vocoder")


def stored_recipe(recipe: DiffusionRecipe, record: Path) -> dict[str, Any]:
    """Return a recipe as a record in the folder `record` has it: models by where they lie."""
    values = recipe.model_dump(mode="json")
    for name in _MODELS:
        if values[name] is not None and Path(values[name]).exists():
            values[name] = stored_path(Path(values[name]), record)
    return values


def read_stored_recipe(path: Path) -> DiffusionRecipe:
    """Read a recipe that `stored_recipe` has made, from any folder.

    Raises:
        RecipeError: it is of another version.
    """
    values = read_json(path)
    for name in _MODELS:
        place = path.parent / str(values.get(name))
        if values.get(name) is not None and place.exists():
            values[name] = str(Path(os.path.normpath(place)))
    return DiffusionRecipe.parse(values, where=str(path))


def open_base_model(recipe: DiffusionRecipe) -> Parts:
    """Open the base model of a recipe, or the parts that it builds a new one from.

    The denoiser is as it is before the first step.

    Raises:
        ModelError: a model or part is not there, or they do not fit together.
    """
    parts = _started(recipe.start) if recipe.start is not None else _put_together(recipe)
    require_fit(parts)
    return parts


def _started(start: str) -> Parts:
    """Open a model, and note whose weights these are and what their licence is."""
    parts = open_model(start)
    about = parts.about.model_copy(
        update={
            "trained_from": f"{start} (hash {hash_weights(parts.where)})",
            "licence": stated_licence(parts, start) or f"that of {start}",
        }
    )
    return replace(parts, about=about)


def _put_together(recipe: DiffusionRecipe) -> Parts:
    vae, clap, vocoder = (_find(str(part)) for part in (recipe.vae, recipe.clap, recipe.vocoder))
    schedule, config = recipe.schedule or ScheduleConfig(), recipe.model or UnetConfig()
    text = towers.open_text(clap)
    return Parts(
        where=recipe.run.folder,
        unet=Stored(config, new_unet(config, schedule).state_dict(), recipe.run.folder),
        vae=layout.open_vae(vae / "vae"),
        vocoder=layout.open_vocoder(vocoder / "vocoder"),
        text=text,
        audio=towers.open_audio(clap),
        front_end=layout.read_front_end(clap / "feature_extractor"),
        schedule=schedule,
        about=layout.Description(
            mel=recipe.mel or MelConfig(),
            licence=recipe.licence or "",
            **(recipe.usage or Usage()).model_dump(),
        ),
        find_tokenizer=lambda: clap / "tokenizer",
        heads=Choice(config.heads, "written in the recipe"),
        eps=Choice(text.config["layer_norm_eps"], "written in text_encoder/config.json"),
    )


def _find(part: str) -> Path:
    """Return the folder of a trained part, or of a whole model that has it."""
    path = Path(part).expanduser()
    return path if path.is_dir() else find_folder(part)
