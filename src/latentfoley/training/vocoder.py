"""Training of the vocoder: HiFi-GAN (Kong et al. 2020, §2.4), or the spectral one.

    L_G = λ_mel · |X - X̂| + adversarial + 2 · feature matching + λ_stft · multi-resolution STFT

The last term is not HiFi-GAN's; it makes a short training converge, and 0 switches it off. The
mel may come from the VAE's reconstruction for a share of the batch, so that the vocoder is trained
on what it will be given.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from latentfoley.checkpoints.layout import read_vae, read_vocoder
from latentfoley.config import AnyVocoderConfig, Config, MelConfig
from latentfoley.data.recordings import crop, crops, generator
from latentfoley.mel import log_mel
from latentfoley.notation import LogMel, Waveform
from latentfoley.spectral import mel_distance, stft_distance
from latentfoley.spectral_vocoder import build_vocoder
from latentfoley.training import discriminators as gan
from latentfoley.training.checkpoint import start_from
from latentfoley.training.optimisation import MicroBatch, Optimisation, cached, mean_losses
from latentfoley.training.recipe import DataRecipe, RunRecipe, recordings_size, some
from latentfoley.training.task import Task
from latentfoley.vae import Vae


class VocoderRecipe(Config):
    """The TOML of `latentfoley train vocoder`."""

    run: RunRecipe
    data: DataRecipe
    mel: MelConfig = MelConfig()
    model: AnyVocoderConfig
    # Frames in a training segment; 51 frames are the paper's 8192 samples.
    segment_frames: int = Field(default=52, ge=8)
    mel_weight: float = 45.0
    feature_matching_weight: float = 2.0
    stft_weight: float = Field(default=0.0, ge=0)
    adversarial_start: int = Field(default=0, ge=0)
    discriminator_channels: int = Field(default=32, ge=4, multiple_of=4)
    # A folder holding a trained `vae`: half of every batch is then the VAE's reconstruction.
    vae: Path | None = None
    # A folder holding a trained `vocoder` to go on from; None starts from random weights.
    start: Path | None = None


class VocoderTask(Task):
    """See `latentfoley.training.task.Task`."""

    kind = "vocoder"

    recipe: VocoderRecipe

    def __init__(self, recipe: VocoderRecipe, device: torch.device) -> None:
        torch.manual_seed(recipe.run.seed)
        self.recipe, self.device = recipe, device
        self.optimisation = Optimisation(recipe.run, device)
        self.clips = recipe.data.clips("train", recipe.mel.sample_rate)
        self.validation_clips = recipe.data.clips("valid", recipe.mel.sample_rate)
        self.vae = _load_vae(recipe.vae, device)
        self.vocoder = build_vocoder(recipe.model)
        if recipe.start is not None:
            folder = recipe.start / "vocoder"
            start_from(self.vocoder, read_vocoder(folder), folder)
        self.vocoder.to(device)
        self.discriminator = gan.WaveformDiscriminator(recipe.discriminator_channels).to(device)
        self.modules: dict[str, nn.Module] = {
            "vocoder": self.vocoder,
            "discriminator": self.discriminator,
        }
        self.optimizers: dict[str, torch.optim.Optimizer] = {
            name: torch.optim.AdamW(module.parameters(), betas=(0.8, 0.99))
            for name, module in self.modules.items()
        }

    @property
    def data_size(self) -> dict[str, float]:
        """Recordings and their seconds; see `recordings_size`."""
        return recordings_size(self.clips, self.validation_clips, self.recipe.mel.sample_rate)

    def step(self, step: int) -> dict[str, float]:
        """One generator step, after one of the discriminators once they have started."""
        micro_batches = self._micro_batches(step)
        make = cached(self._make, micro_batches)
        adversarial = step >= self.recipe.adversarial_start
        first = (
            {"discriminator": self._discriminator_step(make, micro_batches)} if adversarial else {}
        )
        losses: list[dict[str, Tensor]] = []

        def totals() -> Iterator[Tensor]:
            for micro_batch in micro_batches:
                losses.append(
                    self._losses(micro_batch[0], make(micro_batch), adversarial=adversarial)
                )
                yield self._total(losses[-1])

        norm = self.optimisation.step(totals(), self.optimizers["vocoder"])
        return first | mean_losses(losses) | {"gradient_norm": norm.item()}

    def _micro_batches(self, step: int) -> list[MicroBatch]:
        """Return segments, and the log-mels that they are to be made from."""
        run = self.recipe.run
        n_samples = self.recipe.segment_frames * self.recipe.mel.hop_length
        real = torch.from_numpy(
            crops(self.clips, n_samples, run.batch_size, generator(run.seed, step))
        )
        from_vae = torch.arange(run.batch_size) < run.batch_size // 2
        return [
            (rows, self._input_mel(rows, int(first.sum())))
            for rows, first in self.optimisation.micro_batches(real, from_vae)
        ]

    @torch.no_grad()
    def _input_mel(self, real: Waveform, n_from_vae: int) -> LogMel:
        """Return the log-mels, the first ones as the VAE reconstructs them, if there is a VAE."""
        X = log_mel(real, self.recipe.mel)
        if self.vae is not None and n_from_vae:
            with self.optimisation.autocast():
                reconstructed = self.vae.decode(self.vae.encode(X[:n_from_vae]))
            X = torch.cat([reconstructed.float(), X[n_from_vae:]])
        return X

    def _make(self, micro_batch: MicroBatch) -> Waveform:
        real, X = micro_batch
        with self.optimisation.autocast():
            made: Waveform = self.vocoder(X)[:, : real.shape[-1]].float()
        return made

    def _losses(self, real: Waveform, made: Waveform, *, adversarial: bool) -> dict[str, Tensor]:
        losses = {
            "mel": mel_distance(real, made, self.recipe.mel),
            "stft": stft_distance(real, made),
        }
        return losses | (self._adversarial_losses(real, made) if adversarial else {})

    def _total(self, losses: dict[str, Tensor]) -> Tensor:
        total = self.recipe.mel_weight * losses["mel"] + self.recipe.stft_weight * losses["stft"]
        if "adversarial" in losses:
            total = total + losses["adversarial"]
            total = total + self.recipe.feature_matching_weight * losses["features"]
        return total

    def _discriminator_step(
        self, make: Callable[[MicroBatch], Waveform], micro_batches: list[MicroBatch]
    ) -> float:
        losses: list[dict[str, Tensor]] = []

        def totals() -> Iterator[Tensor]:
            for micro_batch in micro_batches:
                made = make(micro_batch).detach()
                with self.optimisation.autocast():
                    loss = gan.least_squares_loss(
                        self.discriminator(micro_batch[0]), self.discriminator(made)
                    )
                losses.append({"discriminator": loss})
                yield loss

        self.optimisation.step(totals(), self.optimizers["discriminator"])
        return mean_losses(losses)["discriminator"]

    def _adversarial_losses(self, real: Waveform, made: Waveform) -> dict[str, Tensor]:
        with self.optimisation.autocast():
            with torch.no_grad():
                of_real = self.discriminator(real)
            of_made = self.discriminator(made)
            return {
                "adversarial": gan.adversarial_loss(of_made),
                "features": gan.feature_matching_loss(of_real, of_made),
            }

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Return the distances of a second of held-out clips, and their sum as it is trained on."""
        rng = generator(self.recipe.run.seed, 0)
        of_clips = []
        for clip in some(self.validation_clips):
            waveform = torch.from_numpy(crop(clip.waveform, self.recipe.mel.sample_rate, rng))[None]
            real = waveform.to(self.device)
            made = self._make((real, log_mel(real, self.recipe.mel)))
            losses = self._losses(real, made, adversarial=False)
            of_clips.append(losses | {"loss": self._total(losses)})
        return {f"validation_{name}": value for name, value in mean_losses(of_clips).items()}

    @torch.no_grad()
    def preview(self, folder: Path, step: int) -> None:
        """Write held-out clips, real and resynthesised, as sound and as a picture."""
        from latentfoley.audio import write_audio
        from latentfoley.pictures import plot_clips

        mel = self.recipe.mel
        rng = generator(self.recipe.run.seed, 0)
        waveforms, titles = [], []
        for k, clip in enumerate(some(self.validation_clips, 4)):
            real = crop(clip.waveform, 2 * mel.sample_rate, rng)
            X = log_mel(torch.from_numpy(real)[None].to(self.device), mel)
            made = self.vocoder(X)[0, : len(real)].cpu().numpy()
            for row, waveform in (("real", real), ("resynthesised", np.ascontiguousarray(made))):
                path = folder / f"{step:07d}-{row}-{k}.wav"
                write_audio(path, waveform, mel.sample_rate, provenance=None)
                waveforms.append(waveform)
                titles.append(f"{Path(clip.path).stem}, {row}")
        plot_clips(folder / f"{step:07d}.png", waveforms, titles, mel, columns=2)

    def export(self, folder: Path) -> None:
        """Write `folder/vocoder`."""
        from latentfoley.checkpoints.layout import write_vocoder

        write_vocoder(folder / "vocoder", self.recipe.model, self.vocoder.state_dict())


def _load_vae(folder: Path | None, device: torch.device) -> Vae | None:
    if folder is None:
        return None
    return read_vae(folder / "vae").to(device).eval()
