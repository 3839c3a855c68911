"""Training of the first stage: L1 + KL + PatchGAN (AudioLDM §3.3; Esser et al. 2021, §3.1).

    L = mean |X - X̂| + λ_KL · KL(q(z | X) ‖ N(0, 1)) + λ_adv · w · (-mean D(X̂))

The adversarial term starts late and is kept in proportion by the adaptive weight w, the ratio of
the gradients of the other two at the decoder's last layer.
"""

from pathlib import Path

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from latentfoley.checkpoints.layout import read_vae
from latentfoley.config import Config, MelConfig, VaeConfig
from latentfoley.data.recordings import crop, crops, generator
from latentfoley.mel import log_mel
from latentfoley.notation import LogMel
from latentfoley.training.checkpoint import start_from
from latentfoley.training.discriminators import PatchDiscriminator, hinge_loss
from latentfoley.training.loop import autocast, descend
from latentfoley.training.recipe import DataRecipe, RunRecipe, recordings_size
from latentfoley.training.task import Task
from latentfoley.vae import Vae, kl_divergence


class VaeRecipe(Config):
    """The TOML of `latentfoley train vae`."""

    run: RunRecipe
    data: DataRecipe
    mel: MelConfig = MelConfig()
    model: VaeConfig
    # Frames in a training crop; every crop is cut from a random place of a random recording.
    # 24 are the fewest in which the discriminator finds a patch.
    crop_frames: int = Field(default=128, ge=24)
    kl_weight: float = Field(default=0.015, ge=0)
    adversarial_weight: float = Field(default=0.5, ge=0)
    adversarial_start: int = Field(default=0, ge=0)
    discriminator_channels: int = Field(default=64, ge=4, multiple_of=4)
    # A folder holding a trained `vae` to go on from; None starts from random weights.
    start: Path | None = None


class VaeTask(Task):
    """See `latentfoley.training.task.Task`."""

    kind = "vae"

    recipe: VaeRecipe

    def __init__(self, recipe: VaeRecipe, device: torch.device) -> None:
        torch.manual_seed(recipe.run.seed)
        self.recipe, self.device = recipe, device
        self.clips = recipe.data.clips("train", recipe.mel.sample_rate)
        self.held_out = recipe.data.clips("valid", recipe.mel.sample_rate)
        self.vae = Vae(recipe.model)
        if recipe.start is not None:
            start_from(self.vae, read_vae(recipe.start / "vae"), recipe.start / "vae")
        self.vae.to(device)
        self.judge = PatchDiscriminator(recipe.discriminator_channels).to(device)
        self.modules: dict[str, nn.Module] = {"vae": self.vae, "judge": self.judge}
        self.optimizers: dict[str, torch.optim.Optimizer] = {
            name: torch.optim.AdamW(module.parameters(), betas=(0.5, 0.9), weight_decay=0.0)
            for name, module in self.modules.items()
        }

    @property
    def data_size(self) -> dict[str, float]:
        """Recordings and their seconds; see `recordings_size`."""
        return recordings_size(self.clips, self.held_out, self.recipe.mel.sample_rate)

    def step(self, step: int) -> dict[str, float]:
        """One generator step and, once the adversary has started, one discriminator step."""
        X, noise = self._batch(step)
        with autocast(self.recipe.run, self.device):
            mean, logvar = self.vae.posterior(X)
            z = mean + torch.exp(logvar / 2) * noise
            made = self.vae.decoder(self.vae.post_quant_conv(z))
        l1 = (X - made.float()).abs().mean()
        kl = kl_divergence(mean.float(), logvar.float()).mean()
        losses = {"l1": l1, "kl": kl}
        total = l1 + self.recipe.kl_weight * kl
        if step >= self.recipe.adversarial_start:
            fooling = self._fooling_loss(made)
            losses["fooling"] = fooling
            total = total + self._adaptive_weight(l1, fooling) * fooling
        descend(total, self.optimizers["vae"], self.recipe.run)
        if step >= self.recipe.adversarial_start:
            losses["judge"] = self._judge_step(X, made.detach())
        return {name: value.item() for name, value in losses.items()}

    def _batch(self, step: int) -> tuple[LogMel, Tensor]:
        run, mel = self.recipe.run, self.recipe.mel
        rng = generator(run.seed, step)
        n_samples = self.recipe.crop_frames * mel.hop_length
        waveforms = torch.from_numpy(crops(self.clips, n_samples, run.batch_size, rng))
        X = log_mel(waveforms.to(self.device), mel)
        r, channels = self.recipe.model.compression, self.recipe.model.latent_channels
        shape = (len(X), channels, X.shape[-2] // r, X.shape[-1] // r)
        noise = torch.from_numpy(rng.standard_normal(shape, dtype=np.float32))
        return X, noise.to(self.device)

    def _fooling_loss(self, made: LogMel) -> Tensor:
        with autocast(self.recipe.run, self.device):
            loss: Tensor = -self.judge(made).float().mean()
        return loss

    def _adaptive_weight(self, l1: Tensor, fooling: Tensor) -> Tensor:
        """λ_adv · ‖∇ L1‖ / ‖∇ fooling‖ at the decoder's last layer, at most 10⁴."""
        last = self.vae.decoder.conv_out.weight
        (of_l1,) = torch.autograd.grad(l1, last, retain_graph=True)
        (of_fooling,) = torch.autograd.grad(fooling, last, retain_graph=True)
        ratio = of_l1.norm() / (of_fooling.norm() + 1e-4)
        weight: Tensor = self.recipe.adversarial_weight * ratio.clamp(0, 1e4).detach()
        return weight

    def _judge_step(self, real: LogMel, made: LogMel) -> Tensor:
        with autocast(self.recipe.run, self.device):
            loss = hinge_loss(self.judge(real).float(), self.judge(made).float())
        descend(loss, self.optimizers["judge"], self.recipe.run)
        return loss

    @torch.no_grad()
    def preview(self, folder: Path, step: int) -> None:
        """Write held-out log-mels and their reconstructions as a picture and as sounds."""
        from latentfoley.training.previews import write_previews

        rng = generator(self.recipe.run.seed, 0)
        n_samples = 512 * self.recipe.mel.hop_length
        some = self.held_out[:: max(1, len(self.held_out) // 4)][:4]
        real = np.stack([crop(clip.waveform, n_samples, rng) for clip in some])
        X = log_mel(torch.from_numpy(real).to(self.device), self.recipe.mel)
        made = self.vae.decode(self.vae.encode(X))
        error = (X - made).abs().mean()
        rows = {"real": X, "reconstructed": made}
        write_previews(folder, step, rows, f"L1 {error:.3f} nats", self.recipe.mel)

    def export(self, folder: Path) -> None:
        """Measure the scaling factor on the training clips, then write `folder/vae`."""
        from latentfoley.checkpoints.layout import write_vae

        factor = 1 / self._latent_std()
        config = self.recipe.model.model_copy(update={"scaling_factor": factor})
        write_vae(folder / "vae", config, self.vae.state_dict())

    @torch.no_grad()
    def _latent_std(self) -> float:
        """Return the standard deviation of sampled latents over every training clip."""
        rng = generator(self.recipe.run.seed, self.recipe.run.steps)
        n_samples = 4 * self.recipe.crop_frames * self.recipe.mel.hop_length
        squares, total, count = 0.0, 0.0, 0
        for clip in self.clips:
            waveform = torch.from_numpy(crop(clip.waveform, n_samples, rng))[None]
            mean, logvar = self.vae.posterior(log_mel(waveform.to(self.device), self.recipe.mel))
            squares += float((mean.square() + logvar.exp()).sum())
            total += float(mean.sum())
            count += mean.numel()
        return float((squares / count - (total / count) ** 2) ** 0.5)
