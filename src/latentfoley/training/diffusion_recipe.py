"""The TOML of `latentfoley train diffusion`.

Either `start` names a model to train on, and everything comes from it; or `model`, `vae`, `clap`
and `vocoder` say what a new one is put together from.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from latentfoley.config import Config, MelConfig, ScheduleConfig, UnetConfig, Usage
from latentfoley.errors import nearest
from latentfoley.presets import SIZES
from latentfoley.training.recipe import RunRecipe

# E enters through `class_embedding` and, inside every residual block, through `time_emb_proj`.
LORA_TARGETS = ("to_q", "to_k", "to_v", "to_out.0", "class_embedding", "time_emb_proj")

_NEW = ("model", "vae", "clap", "vocoder")
_OF_NEW = (*_NEW, "mel", "schedule", "usage", "licence")


def _unet_of_size(model: Any) -> Any:
    """Return the denoiser of a size that is named; anything else as it is."""
    if not isinstance(model, str):
        return model
    if model not in SIZES:
        raise ValueError(f"a table, or the name of a size; {nearest(model, SIZES)}")
    return SIZES[model]().unet


def _name(place: Any) -> Any:
    """Return the name of a path; a `Path` would make one slash of the two in a place's name."""
    return str(place) if isinstance(place, Path) else place


class LatentsRecipe(Config):
    """What to train on: a folder or a place (s3://…) that `latentfoley data encode` has written."""

    latents: Annotated[str, BeforeValidator(_name)]


class LoraRecipe(Config):
    """Train adapters of low rank beside these layers, and leave the weights as they are."""

    rank: int = Field(default=8, ge=1)
    alpha: float = Field(default=8.0, gt=0)
    # Names of linear layers, or their last parts.
    targets: tuple[str, ...] = Field(default=LORA_TARGETS, min_length=1)


class DiffusionRecipe(Config):
    """See the module."""

    run: RunRecipe
    data: LatentsRecipe
    # A model to train on: whatever `latentfoley.load` takes, if it has CLAP's audio tower.
    start: str | None = None
    lora: LoraRecipe | None = None
    # A new model: the denoiser, and the folders (or names of models) with all that stays as it is.
    # "small", "medium" or "large" stand for a table of that size (presets.py).
    model: Annotated[UnetConfig | None, BeforeValidator(_unet_of_size)] = None
    vae: str | None = None
    clap: str | None = None
    vocoder: str | None = None
    mel: MelConfig | None = None
    schedule: ScheduleConfig | None = None
    usage: Usage | None = None
    licence: str | None = None
    # Whose embedding the denoiser is shown: the sound's (the paper's way), that of one of its
    # captions, or the latter for a share of the clips. The authors' published trainer has 0.69.
    conditioning: Literal["audio", "text", "mixed"] = "audio"
    text_share: float | None = Field(default=None, gt=0, lt=1)
    # Length of the random vector added to each sound's unit E, which stands for its distance to
    # the embedding of a text about it; see docs/decisions/0007.
    embedding_noise: float = Field(default=0.0, ge=0)
    # Most that each sound's unit E is moved towards a word drawn from CLAP's vocabulary: in the few
    # directions in which texts differ from sounds; see docs/decisions/0022.
    word_noise: float = Field(default=0.0, ge=0)
    # Muon learns as much in far fewer steps, each a little longer; see docs/decisions/0135.
    optimizer: Literal["adamw", "muon"] = "adamw"
    unconditional_probability: float = Field(default=0.1, ge=0, lt=1)
    ema_decay: float = Field(default=0.999, ge=0, lt=1)
    # Min-SNR weighting (Hang et al. 2023): min(SNR, γ) / SNR for ε; 0 is the plain loss.
    min_snr_gamma: float = Field(default=0.0, ge=0)

    @model_validator(mode="after")
    def _require_one_base_model(self) -> Self:
        if self.start is None:
            missing = [name for name in _NEW if getattr(self, name) is None]
            if missing:
                raise ValueError(
                    f"give 'start' (a model to train on), or {', '.join(_NEW)} to make a new one; "
                    f"missing of these: {', '.join(missing)}"
                )
            if self.lora is not None:
                raise ValueError("[lora] adapts a trained model: give 'start', or leave it out")
        elif extra := [name for name in _OF_NEW if getattr(self, name) is not None]:
            raise ValueError(
                f"'start' brings its own {', '.join(extra)}: leave that out, or leave out 'start' "
                "to make a new model"
            )
        return self

    @model_validator(mode="after")
    def _require_share(self) -> Self:
        if (self.conditioning == "mixed") != (self.text_share is not None):
            raise ValueError(
                f"conditioning is '{self.conditioning}' and text_share {self.text_share}; "
                "'mixed' needs a text_share between 0 and 1, the others take none"
            )
        return self

    @property
    def share_of_text(self) -> float:
        """How many of the clips are shown by their caption, from 0 to 1."""
        return {"audio": 0.0, "text": 1.0}.get(self.conditioning, self.text_share or 0.0)
