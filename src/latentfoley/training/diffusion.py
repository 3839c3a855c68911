"""Training of ε_θ by the paper's method: on the embeddings of *sounds*, never of words.

    L = E ‖ε − ε_θ(z_n, n, E^x)‖²,   n uniform over 0 … N - 1                 (AudioLDM eq. 4)

A clip's latent z_0 and its own embedding E^x come from a cache that the frozen VAE and CLAP audio
tower have made (`latentfoley data encode`); for one sample in ten E^x is replaced by the embedding
of the empty prompt, which classifier-free guidance needs. `batches.py` draws them, `base_model.py`
finds the model that is trained on.
"""

import copy
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from latentfoley.checkpoints.adapter import write_adapter
from latentfoley.checkpoints.json_files import write_json
from latentfoley.checkpoints.layout import write_schedule, write_unet
from latentfoley.checkpoints.parts import Parts
from latentfoley.checkpoints.tokenizer import Tokenizer
from latentfoley.checkpoints.towers import text_network
from latentfoley.clap import TextTower
from latentfoley.data.encoder import Encoder, audio_tower
from latentfoley.data.latents import LatentCache, read_info
from latentfoley.data.recordings import generator
from latentfoley.diffusion import Schedule, diffusion_loss, from_velocity, guided, velocity
from latentfoley.lora import adapt, adapters
from latentfoley.samplers import make_plan, sample
from latentfoley.training import parallel
from latentfoley.training.base_model import open_base_model, stored_recipe
from latentfoley.training.batches import Batch, Batches
from latentfoley.training.by_timestep import Validation, by_third
from latentfoley.training.diffusion_recipe import DiffusionRecipe
from latentfoley.training.muon import Muon, split_parameters
from latentfoley.training.optimisation import Optimisation, mean_losses
from latentfoley.training.task import Task
from latentfoley.unet import Unet
from latentfoley.vae import Vae

RECIPE = "recipe.json"  # beside what a finished run has made: `export.py` reads it


class DiffusionTask(Task):
    """See `latentfoley.training.task.Task`."""

    kind = "diffusion"

    recipe: DiffusionRecipe

    def __init__(self, recipe: DiffusionRecipe, device: torch.device) -> None:
        torch.manual_seed(recipe.run.seed)
        self.recipe, self.device = recipe, device
        self.optimisation = Optimisation(recipe.run, device)
        self.parts = parts = open_base_model(recipe)
        self.schedule = Schedule(**parts.schedule.model_dump(exclude={"prediction"}))
        self.predicts_v = parts.schedule.prediction == "v_prediction"
        self.vae = parts.vae.fill(Vae).to(device)
        self.mel = parts.about.mel
        self._open_data(parts)
        self.unet = _trainable(parts, recipe).to(device)
        frozen = {id(p): p for p in self.unet.parameters() if not p.requires_grad}
        self.ema = copy.deepcopy(self.unet, frozen).requires_grad_(False)
        self.modules: dict[str, nn.Module] = {
            "unet": self._own(self.unet),
            "ema": self._own(self.ema),
        }
        self.optimizers = _optimizers(self.modules["unet"], recipe)

    def _open_data(self, parts: Parts) -> None:
        """Open the cache, and refuse one that was not made by this VAE and this CLAP."""
        folder = self.recipe.data.latents
        tower = audio_tower(parts)
        info = read_info(folder)
        encoder = Encoder(self.vae, tower, self.mel, info.settings.n_frames, self.device)
        text = TextTower(parts.text.fill(text_network), Tokenizer.read(parts.find_tokenizer()))
        scaling_factor = self.vae.config.scaling_factor
        cache = LatentCache(folder, "train", encoder=encoder)
        self.batches = Batches(self.recipe, cache, text, scaling_factor, self.schedule)
        self.validation = (
            Validation(
                LatentCache(folder, "valid"),
                self.recipe.run.batch_size,
                scaling_factor,
                self.schedule,
            )
            if info.n_held_out
            else None
        )

    @property
    def data_size(self) -> dict[str, float]:
        """Windows to learn from, and those held out."""
        info = self.batches.cache.info
        return {
            "windows": info.n_windows - info.n_held_out,
            "validation": info.n_held_out,
            "recordings": info.n_clips,
        }

    @property
    def networks(self) -> list[nn.Module]:
        """The denoiser, also where its adapters alone are trained."""
        return [self.unet]

    def _own(self, unet: Unet) -> nn.Module:
        """Return what of a denoiser is trained: all of it, or its adapters."""
        return unet if self.recipe.lora is None else nn.ModuleList(adapters(unet).values())

    def step(self, step: int) -> dict[str, float]:
        """One denoising step on a batch of latents; the average follows."""
        micro_batches = [
            Batch(*rows) for rows in self.optimisation.micro_batches(*self.batches.draw(step))
        ]
        losses: list[dict[str, Tensor]] = []
        of_clips: list[Tensor] = []

        def totals() -> Iterator[Tensor]:
            for batch in micro_batches:
                per_clip = self._loss(self.unet, batch)
                of_clips.append(torch.stack([per_clip.detach(), batch.n], dim=1))
                losses.append({"loss": (self._weights(batch.n) * per_clip).mean()})
                yield losses[-1]["loss"]

        norm = self.optimisation.step(totals(), *self.optimizers.values())
        self._update_average(step)
        per_clip, n = parallel.gather_rows(torch.cat(of_clips)).T
        means = mean_losses(losses) | {"gradient_norm": norm.item()}
        return means | by_third(per_clip, n, self.schedule.n_train_steps)

    def _loss(self, unet: Unet, batch: Batch) -> Tensor:
        """Return the unweighted loss of each clip."""
        z_0, E, n, eps = batch
        with self.optimisation.autocast():
            target = velocity(z_0, eps, n, self.schedule) if self.predicts_v else None
            return diffusion_loss(unet, z_0, E, n, eps, self.schedule, target=target)

    def _weights(self, n: Tensor) -> Tensor:
        """Return min(SNR, γ)/SNR for ε, min(SNR, γ)/(SNR + 1) for v   [Hang et al. 2023, §3.4]."""
        gamma = self.recipe.min_snr_gamma
        if gamma == 0:
            return torch.ones(len(n), device=n.device)
        alpha_bar = self.schedule.alpha_bar.float().to(n.device)[n]
        snr = alpha_bar / (1 - alpha_bar)
        return snr.clamp(max=gamma) / (snr + 1 if self.predicts_v else snr)

    @torch.no_grad()
    def _update_average(self, step: int) -> None:
        """Move the average towards the weights: decay rises as (1 + k)/(10 + k) to its value."""
        decay = min(self.recipe.ema_decay, (1 + step) / (10 + step))
        own = (self.modules[name].parameters() for name in ("ema", "unet"))
        for average, weight in zip(*own, strict=True):
            average.lerp_(weight, 1 - decay)

    def validate(self) -> dict[str, float]:
        """Return the average's loss on held-out windows, by noise level; nothing without any."""
        if self.validation is None:
            return {}
        return self.validation.losses(lambda batch: self._loss(self.ema, batch.to(self.device)))

    @torch.no_grad()
    def preview(self, folder: Path, step: int) -> None:
        """Write encoded recordings, and what their E alone brings back: a picture and sounds."""
        from latentfoley.training.previews import NAMES, write_previews

        cache = self.batches.cache
        shown = torch.linspace(0, len(cache) - 1, 8).long().tolist()
        fields = cache.batch(shown, ("mean", "E"))
        z_0 = self.vae.config.scaling_factor * fields["mean"].float().to(self.device)
        E, E_empty = fields["E"].float().to(self.device), self.batches.E_empty.to(self.device)
        plan = make_plan("dpm++", self.schedule, 20)
        z_N = torch.from_numpy(generator(0, 0).standard_normal(z_0.shape, dtype=np.float32))
        denoiser = from_velocity(self.ema, self.schedule) if self.predicts_v else self.ema
        made = sample(guided(denoiser, E, E_empty, 2.5), z_N.to(self.device), plan)
        rows = {"encoded": self.vae.decode(z_0), "generated": self.vae.decode(made)}
        title = f"recordings, and {step} steps of training"
        write_previews(folder, step, rows, title, self.mel)
        write_json(folder / NAMES, {str(k): cache.key(item) for k, item in enumerate(shown)})

    def export(self, folder: Path) -> None:
        """Write the averaged weights, or adapters, and the recipe that says what goes with them."""
        lora = self.recipe.lora
        if lora is None:
            write_unet(folder / "unet", self.parts.unet.config, self.ema.state_dict())
            write_schedule(folder / "scheduler", self.parts.schedule)
        else:
            write_adapter(
                folder / "adapter",
                adapters(self.ema),
                alpha=lora.alpha,
                targets=lora.targets,
                trained_from=str(self.recipe.start),
            )
        write_json(folder / RECIPE, stored_recipe(self.recipe, folder))


def _optimizers(trained: nn.Module, recipe: DiffusionRecipe) -> dict[str, torch.optim.Optimizer]:
    """Return AdamW, and beside it Muon if the recipe says so."""
    if recipe.optimizer == "adamw":
        return {"unet": torch.optim.AdamW(trained.parameters(), weight_decay=0.01)}
    hidden, others = split_parameters(trained)
    return {"unet": torch.optim.AdamW(others, weight_decay=0.01), "hidden": Muon(hidden)}


def _trainable(parts: Parts, recipe: DiffusionRecipe) -> Unet:
    """Return the denoiser with its trained parameters asking for gradients."""
    unet = copy.deepcopy(parts.unet.fill(Unet)).train()  # a copy: what was read is a mapped file
    if recipe.lora is not None:
        adapt(unet, recipe.lora.rank, recipe.lora.alpha / recipe.lora.rank, recipe.lora.targets)
    return unet
