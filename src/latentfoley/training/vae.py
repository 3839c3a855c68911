"""Training of the first stage: L1 + KL + PatchGAN (AudioLDM §3.3; Esser et al. 2021, §3.1).

    L = mean |X - X̂| + λ_KL · KL(q(z | X) ‖ N(0, 1)) + λ_adv · w · (-mean D(X̂))

The adversarial term starts late and is kept in proportion by the adaptive weight w, the ratio of
the gradients of the other two at the decoder's last layer.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from latentfoley.checkpoints.layout import read_vae
from latentfoley.config import Config, MelConfig, VaeConfig
from latentfoley.data.recordings import crop, crops, generator
from latentfoley.mel import log_mel
from latentfoley.notation import LogMel
from latentfoley.training import parallel
from latentfoley.training.checkpoint import start_from
from latentfoley.training.discriminators import PatchDiscriminator, hinge_loss
from latentfoley.training.optimisation import MicroBatch, Optimisation, cached, mean_losses
from latentfoley.training.principal import begin_as_principal_components
from latentfoley.training.recipe import DataRecipe, RunRecipe, recordings_size, some
from latentfoley.training.task import Task
from latentfoley.vae import Vae, kl_divergence

_FIRST_CROPS = 512  # that principal components are taken from


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
    # A folder holding a trained `vae` to go on from; None starts from random weights,
    # and a VAE of patches from their principal components.
    start: Path | None = None
    # Train the decoder alone: latents that `start` has made, and a denoiser of them, stay good.
    frozen_encoder: bool = False

    @model_validator(mode="after")
    def _check(self) -> Self:
        r = self.model.compression
        if self.crop_frames % r or self.mel.n_mels % r:
            raise ValueError(
                f"crop_frames {self.crop_frames} and n_mels {self.mel.n_mels} must be multiples of "
                f"the compression {r}"
            )
        if self.frozen_encoder and self.start is None:
            raise ValueError("frozen_encoder keeps the encoder of 'start': give 'start'")
        return self


class ForwardPass(NamedTuple):
    """The reconstruction of a micro-batch, and its losses."""

    made: LogMel
    losses: dict[str, Tensor]


class VaeTask(Task):
    """See `latentfoley.training.task.Task`."""

    kind = "vae"

    recipe: VaeRecipe

    def __init__(self, recipe: VaeRecipe, device: torch.device) -> None:
        torch.manual_seed(recipe.run.seed)
        self.recipe, self.device = recipe, device
        self.optimisation = Optimisation(recipe.run, device)
        self.clips = recipe.data.clips("train", recipe.mel.sample_rate)
        self.validation_clips = recipe.data.clips("valid", recipe.mel.sample_rate)
        self.vae = Vae(recipe.model)
        if recipe.start is not None:
            start = read_vae(recipe.start / "vae")
            start_from(self.vae, start, recipe.start / "vae")
            self.scaling_factor = start.config.scaling_factor
        elif recipe.model.patch_size > 1:
            begin_as_principal_components(self.vae, self._first_log_mels())
        for shortcut in (self.vae.encoder.shortcut, self.vae.decoder.shortcut):
            if shortcut is not None:
                # Log-mels lie far from zero: a step of its weights shakes all that comes out.
                shortcut.requires_grad_(False)
        if recipe.frozen_encoder:
            self.vae.encoder.requires_grad_(False)
            self.vae.quant_conv.requires_grad_(False)
        self.vae.to(device)
        self.discriminator = PatchDiscriminator(recipe.discriminator_channels).to(device)
        self.modules: dict[str, nn.Module] = {"vae": self.vae, "discriminator": self.discriminator}
        self.optimizers: dict[str, torch.optim.Optimizer] = {
            name: torch.optim.AdamW(_trained(module), betas=(0.5, 0.9), weight_decay=0.0)
            for name, module in self.modules.items()
        }

    @property
    def data_size(self) -> dict[str, float]:
        """Recordings and their seconds; see `recordings_size`."""
        return recordings_size(self.clips, self.validation_clips, self.recipe.mel.sample_rate)

    def _first_log_mels(self) -> LogMel:
        run, mel = self.recipe.run, self.recipe.mel
        n_samples = self.recipe.crop_frames * mel.hop_length
        rng = generator(run.seed, run.steps)
        return log_mel(torch.from_numpy(crops(self.clips, n_samples, _FIRST_CROPS, rng)), mel)

    def step(self, step: int) -> dict[str, float]:
        """One generator step and, once the adversary has started, one discriminator step."""
        micro_batches = self._micro_batches(step)
        adversarial = step >= self.recipe.adversarial_start
        forward = cached(partial(self._forward, adversarial=adversarial), micro_batches)
        weight = (
            self._adaptive_weight(
                [self._last_gradients(forward(micro_batch)) for micro_batch in micro_batches]
            )
            if adversarial
            else None
        )
        passes: list[ForwardPass] = []

        def totals() -> Iterator[Tensor]:
            for micro_batch in micro_batches:
                made, losses = forward(micro_batch)
                passes.append(ForwardPass(made.detach(), losses))
                total = losses["l1"] + self.recipe.kl_weight * losses["kl"]
                yield total if weight is None else total + weight * losses["adversarial"]

        norm = self.optimisation.step(totals(), self.optimizers["vae"])
        means = mean_losses([losses for _, losses in passes]) | {"gradient_norm": norm.item()}
        if adversarial:
            means["discriminator"] = self._discriminator_step(
                [X for X, _ in micro_batches], [made for made, _ in passes]
            )
        return means

    def _micro_batches(self, step: int) -> list[MicroBatch]:
        """Return log-mels, and the noise that samples their latents."""
        run, mel = self.recipe.run, self.recipe.mel
        rng = generator(run.seed, step)
        n_samples = self.recipe.crop_frames * mel.hop_length
        waveforms = torch.from_numpy(crops(self.clips, n_samples, run.batch_size, rng))
        r, channels = self.recipe.model.compression, self.recipe.model.latent_channels
        shape = (run.batch_size, channels, self.recipe.crop_frames // r, mel.n_mels // r)
        noise = torch.from_numpy(rng.standard_normal(shape, dtype=np.float32))
        return [
            (log_mel(rows, mel), eps)
            for rows, eps in self.optimisation.micro_batches(waveforms, noise)
        ]

    def _forward(self, micro_batch: MicroBatch, *, adversarial: bool) -> ForwardPass:
        X, noise = micro_batch
        with self.optimisation.autocast():
            mean, logvar = self.vae.posterior(X)
            z = mean + torch.exp(logvar / 2) * noise
            made = self.vae.decoder(self.vae.post_quant_conv(z))
        l1 = (X - made.float()).abs().mean()
        kl = kl_divergence(mean.float(), logvar.float()).mean()
        more = {"adversarial": self._adversarial_loss(made)} if adversarial else {}
        return ForwardPass(made, {"l1": l1, "kl": kl} | more)

    def _adversarial_loss(self, made: LogMel) -> Tensor:
        with self.optimisation.autocast():
            loss: Tensor = -self.discriminator(made).float().mean()
        return loss

    def _adaptive_weight(self, gradients: list[Tensor]) -> Tensor:
        """λ_adv · ‖∇ L1‖ / ‖∇ adversarial‖ at the decoder's last layer, at most 10⁴.

        The norms are those of the whole batch: gradients are first averaged over micro-batches and
        processes.
        """
        both = parallel.mean_over_processes(torch.stack(gradients).mean(dim=0))
        of_l1, of_adversarial = both.flatten(1).norm(dim=1)
        ratio: Tensor = of_l1 / (of_adversarial + 1e-4)
        return self.recipe.adversarial_weight * ratio.clamp(0, 1e4)

    def _last_gradients(self, forward: ForwardPass) -> Tensor:
        """Return the gradients of L1 and of the adversarial loss at the decoder's last layer."""
        last, scaler = self.vae.decoder.conv_out.weight, self.optimisation.scaler
        scaled = [scaler.scale(forward.losses[name]) for name in ("l1", "adversarial")]
        gradients = [torch.autograd.grad(x, last, retain_graph=True)[0] for x in scaled]
        return torch.stack(gradients) / scaler.get_scale()

    def _discriminator_step(self, real: list[LogMel], made: list[LogMel]) -> float:
        losses: list[dict[str, Tensor]] = []

        def totals() -> Iterator[Tensor]:
            for x, x_made in zip(real, made, strict=True):
                with self.optimisation.autocast():
                    loss = hinge_loss(
                        self.discriminator(x).float(), self.discriminator(x_made).float()
                    )
                losses.append({"discriminator": loss})
                yield loss

        self.optimisation.step(totals(), self.optimizers["discriminator"])
        return mean_losses(losses)["discriminator"]

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Return L1 and KL of held-out crops, and their sum as it is trained on."""
        rng = generator(self.recipe.run.seed, 0)
        n_samples = self.recipe.crop_frames * self.recipe.mel.hop_length
        of_clips = []
        for clip in some(self.validation_clips):
            waveform = torch.from_numpy(crop(clip.waveform, n_samples, rng))[None]
            X = log_mel(waveform.to(self.device), self.recipe.mel)
            no_noise = torch.zeros((), device=self.device)
            of_clips.append(self._forward((X, no_noise), adversarial=False).losses)
        means = mean_losses(of_clips)
        total = means["l1"] + self.recipe.kl_weight * means["kl"]
        return {
            "validation_loss": total,
            "validation_l1": means["l1"],
            "validation_kl": means["kl"],
        }

    @torch.no_grad()
    def preview(self, folder: Path, step: int) -> None:
        """Write held-out log-mels and their reconstructions as a picture and as sounds."""
        from latentfoley.training.previews import write_previews

        rng = generator(self.recipe.run.seed, 0)
        n_samples = 512 * self.recipe.mel.hop_length
        shown = some(self.validation_clips, 4)
        real = np.stack([crop(clip.waveform, n_samples, rng) for clip in shown])
        X = log_mel(torch.from_numpy(real).to(self.device), self.recipe.mel)
        made = self.vae.decode(self.vae.encode(X))
        error = (X - made).abs().mean()
        rows = {"real": X, "reconstructed": made}
        write_previews(folder, step, rows, f"L1 {error:.3f} nats", self.recipe.mel)

    def export(self, folder: Path) -> None:
        """Measure the scaling factor on the training clips, then write `folder/vae`.

        Latents of a frozen encoder keep theirs.
        """
        from latentfoley.checkpoints.layout import write_vae

        factor = self.scaling_factor if self.recipe.frozen_encoder else 1 / self._latent_std()
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


def _trained(module: nn.Module) -> list[nn.Parameter]:
    return [p for p in module.parameters() if p.requires_grad]
