"""Training of ε_θ by the paper's method: on the embeddings of *sounds*, never of words.

    L = E ‖ε − ε_θ(z_n, n, E^x)‖²,   n uniform over 0 … N - 1                 (AudioLDM eq. 4)

A clip's latent z_0 and its own embedding E^x come from the frozen VAE and CLAP audio tower; for
one sample in ten E^x is replaced by the embedding of the empty prompt, which classifier-free
guidance needs. A mix of two recordings gets the embedding of the mixed sound. Captions are not
read: nothing in this file could.

Latents and embeddings of several variations (place, company) of every recording are computed once
and kept beside the run, under a key made from the weights and settings they depend on.
"""

import copy
import hashlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from rich.progress import track
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from latentfoley.checkpoints.layout import read_vae, write_schedule, write_unet
from latentfoley.clap import AudioTower, TextTower
from latentfoley.config import Config, MelConfig, ScheduleConfig, UnetConfig
from latentfoley.data.augment import mix, shift
from latentfoley.data.recordings import Clip, Samples, crop, generator
from latentfoley.diffusion import Schedule, diffusion_loss, from_velocity, guided, velocity
from latentfoley.errors import RecipeError, nearest_files
from latentfoley.mel import log_mel
from latentfoley.notation import Embedding, Latent
from latentfoley.samplers import make_plan, sample
from latentfoley.training import parallel
from latentfoley.training.descent import Descent, autocast, mean_losses
from latentfoley.training.recipe import DataRecipe, RunRecipe
from latentfoley.training.task import Task
from latentfoley.unet import Unet

_CROPS_STREAM = 2200  # of the crops that are encoded; any number, fixed so that they are too

Batch = tuple[Latent, Embedding, Tensor, Latent]


class DiffusionRecipe(Config):
    """The TOML of `latentfoley train diffusion`."""

    run: RunRecipe
    data: DataRecipe
    mel: MelConfig = MelConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    model: UnetConfig
    # Folders that hold the trained `vae`, and `audio_encoder` with the other parts of CLAP.
    vae: Path
    clap: Path
    clip_frames: int = Field(default=512, ge=16)
    # Variations of each recording, and mixes of two, that are encoded and kept.
    variations: int = Field(default=6, ge=1)
    mixes: int = Field(default=500, ge=0)
    # Most that a variation which ends in silence begins later.
    shift_s: float = Field(default=0.0, ge=0)
    # Length of the random vector added to each unit E, which stands for the gap between a sound's
    # embedding and that of a text about it; see docs/decisions/0007.
    embedding_noise: float = Field(default=0.0, ge=0)
    unconditional_probability: float = Field(default=0.1, ge=0, lt=1)
    ema_decay: float = Field(default=0.999, ge=0, lt=1)
    # Min-SNR weighting (Hang et al. 2023, eq. 7, for ε): min(SNR, γ) / SNR; 0 is the plain loss.
    min_snr_gamma: float = Field(default=0.0, ge=0)


class DiffusionTask(Task):
    """See `latentfoley.training.task.Task`."""

    kind = "diffusion"

    recipe: DiffusionRecipe

    def __init__(self, recipe: DiffusionRecipe, device: torch.device) -> None:
        torch.manual_seed(recipe.run.seed)
        self.recipe, self.device = recipe, device
        self.descent = Descent(recipe.run, device)
        self.schedule = Schedule(**recipe.schedule.model_dump(exclude={"prediction"}))
        self.predicts_v = recipe.schedule.prediction == "v_prediction"
        self.vae = read_vae(recipe.vae / "vae").to(device)
        text = TextTower.load(recipe.clap)
        self.data = _cached_latents(recipe, self.vae, device)
        self.E_empty = text.embed([""]).to(device)
        self.unet = Unet(recipe.model).to(device)
        _start_at_zero(self.unet)
        if not self.predicts_v:
            _start_as_identity(self.unet)
        self.ema = copy.deepcopy(self.unet).requires_grad_(False)
        self.modules: dict[str, nn.Module] = {"unet": self.unet, "ema": self.ema}
        self.optimizers: dict[str, torch.optim.Optimizer] = {
            "unet": torch.optim.AdamW(self.unet.parameters(), weight_decay=0.01)
        }

    @property
    def data_size(self) -> dict[str, float]:
        """Latents to draw from."""
        return {"latents": len(self.data["E"])}

    def step(self, step: int) -> dict[str, float]:
        """One denoising step on a batch of latents; the average follows."""
        parts = self.descent.parts(*self._batch(step))
        losses: list[dict[str, Tensor]] = []
        of_clips: list[Tensor] = []

        def totals() -> Iterator[Tensor]:
            for z_0, E, n, eps in parts:
                per_clip = self._per_clip(z_0, E, n, eps)
                of_clips.append(torch.stack([per_clip.detach(), n]))
                losses.append({"loss": (self._weights(n) * per_clip).mean()})
                yield losses[-1]["loss"]

        norm = self.descent.take(totals(), self.optimizers["unet"])
        self._follow(step)
        per_clip, n = parallel.gather_rows(torch.cat(of_clips, dim=1).T).T
        means = mean_losses(losses) | {"gradient_norm": norm.item()}
        return means | _by_level(per_clip, n)

    def _per_clip(self, z_0: Latent, E: Embedding, n: Tensor, eps: Latent) -> Tensor:
        with self.descent.autocast(), _attention(self.device):
            target = velocity(z_0, eps, n, self.schedule) if self.predicts_v else None
            return diffusion_loss(self.unet, z_0, E, n, eps, self.schedule, target=target)

    def _batch(self, step: int) -> Batch:
        rng = generator(self.recipe.run.seed, step)
        size = self.recipe.run.batch_size
        items = torch.from_numpy(rng.integers(0, len(self.data["E"]), size))
        mean, std = self.data["mean"][items].float(), self.data["std"][items].float()
        noise, eps = rng.standard_normal((2, *mean.shape), dtype=np.float32)
        z_0 = self.vae.config.scaling_factor * (mean + std * torch.from_numpy(noise))
        dropped = torch.from_numpy(rng.random(size) < self.recipe.unconditional_probability)
        E = self._perturb(self.data["E"][items].float(), rng)
        E = torch.where(dropped[:, None], self.E_empty.cpu(), E)
        n = torch.from_numpy(rng.integers(0, self.schedule.n_train_steps, size))
        return z_0, E, n, torch.from_numpy(eps)

    def _perturb(self, E: Embedding, rng: np.random.Generator) -> Embedding:
        """Return unit vectors near E: each plus a Gaussian vector of expected length σ_E."""
        direction = torch.from_numpy(rng.standard_normal(E.shape, dtype=np.float32))
        return F.normalize(E + self.recipe.embedding_noise / E.shape[1] ** 0.5 * direction, dim=1)

    def _weights(self, n: Tensor) -> Tensor:
        gamma = self.recipe.min_snr_gamma
        if gamma == 0:
            return torch.ones(len(n), device=n.device)
        alpha_bar = self.schedule.alpha_bar.float().to(n.device)[n]
        snr = alpha_bar / (1 - alpha_bar)
        return snr.clamp(max=gamma) / (snr + 1 if self.predicts_v else snr)

    @torch.no_grad()
    def _follow(self, step: int) -> None:
        """Move the average towards the weights: decay rises as (1 + k)/(10 + k) to its value."""
        decay = min(self.recipe.ema_decay, (1 + step) / (10 + step))
        for average, weight in zip(self.ema.parameters(), self.unet.parameters(), strict=True):
            average.lerp_(weight, 1 - decay)

    @torch.no_grad()
    def preview(self, folder: Path, step: int) -> None:
        """Write encoded recordings, and what their E alone brings back: a picture and sounds."""
        from latentfoley.training.previews import write_previews

        shown = torch.linspace(0, len(self.data["E"]) - 1, 8).long()
        z_0 = self.vae.config.scaling_factor * self.data["mean"][shown].float().to(self.device)
        E = self.data["E"][shown].float().to(self.device)
        plan = make_plan("dpm++", self.schedule, 20)
        z_N = torch.from_numpy(generator(0, 0).standard_normal(z_0.shape, dtype=np.float32))
        self.ema.eval()
        denoiser = from_velocity(self.ema, self.schedule) if self.predicts_v else self.ema
        made = sample(guided(denoiser, E, self.E_empty, 2.5), z_N.to(self.device), plan)
        rows = {"encoded": self.vae.decode(z_0), "generated": self.vae.decode(made)}
        title = f"recordings, and {step} steps of training"
        write_previews(folder, step, rows, title, self.recipe.mel)

    def export(self, folder: Path) -> None:
        """Write the averaged weights to `folder/unet`, and their schedule beside them."""
        write_unet(folder / "unet", self.recipe.model, self.ema.state_dict())
        write_schedule(folder / "scheduler", self.recipe.schedule)


def _attention(device: torch.device) -> AbstractContextManager[None]:
    """On a CPU the fused attention's backward pass costs more than plain products: use those."""
    return sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" else nullcontext()


def _start_at_zero(unet: Unet) -> None:
    """Let every residual branch, and the output, begin as nothing, as the original network does."""
    for name, parameter in unet.named_parameters():
        if ".conv2." in name or ".proj_out." in name or name.startswith("conv_out."):
            nn.init.zeros_(parameter)


@torch.no_grad()
def _start_as_identity(unet: Unet) -> None:
    """Let a network that predicts noise begin as ε̂ = z_n, nearly right where there is much noise.

    The first convolution copies z to two stretches of channels, as z and as -z, which the last skip
    carries to the end; there SiLU(z) - SiLU(-z) = z. Finding this alone takes a small network a
    thousand steps, in which its samples are noise: at n = 999 an error in ε̂ is 84-fold in ẑ_0.
    """
    C, m = unet.config.latent_channels, unet.config.block_channels[0]
    if m < 2 * C:
        return  # too narrow to carry both copies
    both = torch.cat([torch.eye(C), -torch.eye(C)])  # (2C, C)
    shortcut: nn.Conv2d = unet.up_blocks[-1].resnets[-1].conv_shortcut  # type: ignore[index, union-attr]
    for conv in (unet.conv_in, shortcut):
        conv.weight[: 2 * C] = 0
        conv.bias[: 2 * C] = 0  # type: ignore[index]
    unet.conv_in.weight[: 2 * C, :, 1, 1] = both
    # The shortcut's input is the up path's m channels, then those of the first convolution.
    shortcut.weight[: 2 * C, m : m + 2 * C, 0, 0] = torch.eye(2 * C)
    unet.conv_out.weight[:, : 2 * C, 1, 1] = both.T


def _by_level(per_clip: Tensor, n: Tensor) -> dict[str, float]:
    """Return the unweighted loss of the clips in each third of the noise levels."""
    names = ("loss_low_noise", "loss_middle_noise", "loss_high_noise")
    thirds = [per_clip[(n >= low) & (n < low + 334)] for low in (0, 334, 668)]
    return {name: part.mean().item() for name, part in zip(names, thirds, strict=True) if len(part)}


def _cached_latents(
    recipe: DiffusionRecipe, vae: nn.Module, device: torch.device
) -> dict[str, Tensor]:
    """Return mean, std and E of every variation, from the cache where its key still holds."""
    path = recipe.run.folder / "latents.safetensors"
    key = _cache_key(recipe)
    if path.is_file():
        with safe_open(path, "pt") as cached:
            if cached.metadata() == {"key": key}:
                return load_file(path)
    encoded = list(_encode(recipe, vae, device))
    names = ("mean", "std", "E")
    data = {
        name: torch.stack(parts)
        for name, parts in zip(names, zip(*encoded, strict=True), strict=True)
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(data, path, metadata={"key": key})
    return data


def _cache_key(recipe: DiffusionRecipe) -> str:
    """Return a hash of all that the cache depends on."""
    digest = hashlib.sha256()
    for file in (
        recipe.vae / "vae" / "diffusion_pytorch_model.safetensors",
        recipe.clap / "audio_encoder" / "model.safetensors",
        recipe.data.manifest,
    ):
        if not file.is_file():
            raise RecipeError(f"there is no file '{file}'.{nearest_files(file)}")
        digest.update(file.read_bytes())
    settings = recipe.model_dump_json(
        include={
            "mel": True,
            "clip_frames": True,
            "variations": True,
            "mixes": True,
            "shift_s": True,
            "run": {"seed"},
        }
    )
    digest.update(settings.encode())
    return digest.hexdigest()


def _encode(
    recipe: DiffusionRecipe, vae: nn.Module, device: torch.device
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield (mean, std, E) of every variation, in fp16."""
    tower = AudioTower.load(recipe.clap)
    tower.model.to(device)
    clips = recipe.data.clips("train", recipe.mel.sample_rate)
    for waveform in track(list(_variations(clips, recipe)), "encoding"):
        X = log_mel(torch.from_numpy(waveform)[None].to(device), recipe.mel)
        with torch.no_grad(), autocast(recipe.run, device):
            mean, logvar = vae.posterior(X)  # type: ignore[operator]
        E = tower.embed(waveform, recipe.mel.sample_rate)
        yield mean[0].half().cpu(), torch.exp(logvar[0] / 2).half().cpu(), E.half().cpu()


def _variations(clips: list[Clip], recipe: DiffusionRecipe) -> Iterator[Samples]:
    """Yield crops of every recording, then mixes of two."""
    n_samples = recipe.clip_frames * recipe.mel.hop_length
    n_most = round(recipe.shift_s * recipe.mel.sample_rate)
    rng = generator(recipe.run.seed, _CROPS_STREAM)
    for clip in clips:
        for _ in range(recipe.variations):
            yield shift(crop(clip.waveform, n_samples, rng), n_most, rng)
    for _ in range(recipe.mixes):
        pair = [clips[i].waveform for i in rng.integers(0, len(clips), 2)]
        first, second = (crop(waveform, n_samples, rng) for waveform in pair)
        yield mix(first, second, rng)
