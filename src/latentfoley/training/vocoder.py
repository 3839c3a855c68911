"""Training of HiFi-GAN (Kong et al. 2020, §2.4).

    L_G = λ_mel · |X - X̂| + adversarial + 2 · feature matching + λ_stft · multi-resolution STFT

The last term is not HiFi-GAN's; it makes a short training converge, and 0 switches it off. The
mel may come from the VAE's reconstruction for a share of the batch, so that the vocoder hears in
training what it will be given.
"""

from pathlib import Path

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from latentfoley.checkpoints.layout import read_vae, read_vocoder
from latentfoley.config import Config, MelConfig, VocoderConfig
from latentfoley.data.recordings import crop, crops, generator
from latentfoley.mel import log_mel
from latentfoley.notation import LogMel, Waveform
from latentfoley.training import discriminators as gan
from latentfoley.training.checkpoint import start_from
from latentfoley.training.loop import autocast, descend
from latentfoley.training.recipe import DataRecipe, RunRecipe, recordings_size
from latentfoley.training.spectral import mel_distance, stft_distance
from latentfoley.training.task import Task
from latentfoley.vae import Vae
from latentfoley.vocoder import Vocoder


class VocoderRecipe(Config):
    """The TOML of `latentfoley train vocoder`."""

    run: RunRecipe
    data: DataRecipe
    mel: MelConfig = MelConfig()
    model: VocoderConfig
    # Frames in a training segment; 51 frames are the paper's 8192 samples.
    segment_frames: int = Field(default=52, ge=8)
    mel_weight: float = 45.0
    feature_matching_weight: float = 2.0
    stft_weight: float = Field(default=0.0, ge=0)
    adversarial_start: int = Field(default=0, ge=0)
    discriminator_channels: int = Field(default=32, ge=4, multiple_of=4)
    # A folder holding a trained `vae`: half of every batch then hears the VAE's reconstruction.
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
        self.clips = recipe.data.clips("train", recipe.mel.sample_rate)
        self.held_out = recipe.data.clips("valid", recipe.mel.sample_rate)
        self.vae = _load_vae(recipe.vae, device)
        self.vocoder = Vocoder(recipe.model)
        if recipe.start is not None:
            folder = recipe.start / "vocoder"
            start_from(self.vocoder, read_vocoder(folder), folder)
        self.vocoder.to(device)
        self.judge = gan.WaveformDiscriminator(recipe.discriminator_channels).to(device)
        self.modules: dict[str, nn.Module] = {"vocoder": self.vocoder, "judge": self.judge}
        self.optimizers: dict[str, torch.optim.Optimizer] = {
            name: torch.optim.AdamW(module.parameters(), betas=(0.8, 0.99))
            for name, module in self.modules.items()
        }

    @property
    def data_size(self) -> dict[str, float]:
        """Recordings and their seconds; see `recordings_size`."""
        return recordings_size(self.clips, self.held_out, self.recipe.mel.sample_rate)

    def step(self, step: int) -> dict[str, float]:
        """One generator step, after one of the discriminators once they have started."""
        real, X = self._batch(step)
        with autocast(self.recipe.run, self.device):
            made = self.vocoder(X)[:, : real.shape[-1]]
        made = made.float()
        adversarial = step >= self.recipe.adversarial_start
        losses = {"judge": self._judge_step(real, made.detach())} if adversarial else {}
        losses["mel"] = mel_distance(real, made, self.recipe.mel)
        losses["stft"] = stft_distance(real, made)
        total = self.recipe.mel_weight * losses["mel"] + self.recipe.stft_weight * losses["stft"]
        if adversarial:
            losses |= self._fooling_losses(real, made)
            total = total + losses["fooling"]
            total = total + self.recipe.feature_matching_weight * losses["features"]
        descend(total, self.optimizers["vocoder"], self.recipe.run)
        return {name: value.item() for name, value in losses.items()}

    def _batch(self, step: int) -> tuple[Waveform, LogMel]:
        run, mel = self.recipe.run, self.recipe.mel
        n_samples = self.recipe.segment_frames * mel.hop_length
        rng = generator(run.seed, step)
        real = torch.from_numpy(crops(self.clips, n_samples, run.batch_size, rng)).to(self.device)
        X = log_mel(real, mel)
        if self.vae is not None:
            half = len(X) // 2
            with torch.no_grad(), autocast(run, self.device):
                heard = self.vae.decode(self.vae.encode(X[:half]))
            X = torch.cat([heard.float(), X[half:]])
        return real, X

    def _judge_step(self, real: Waveform, made: Waveform) -> Tensor:
        with autocast(self.recipe.run, self.device):
            loss = gan.least_squares_loss(self.judge(real), self.judge(made))
        descend(loss, self.optimizers["judge"], self.recipe.run)
        return loss

    def _fooling_losses(self, real: Waveform, made: Waveform) -> dict[str, Tensor]:
        with autocast(self.recipe.run, self.device):
            with torch.no_grad():
                of_real = self.judge(real)
            of_made = self.judge(made)
            return {
                "fooling": gan.fooling_loss(of_made),
                "features": gan.feature_matching_loss(of_real, of_made),
            }

    @torch.no_grad()
    def preview(self, folder: Path, step: int) -> None:
        """Write held-out clips, real and resynthesised, as sound and as a picture."""
        from latentfoley.audio import write_audio
        from latentfoley.pictures import plot_clips

        mel = self.recipe.mel
        rng = generator(self.recipe.run.seed, 0)
        waveforms, titles = [], []
        for clip in self.held_out[:: max(1, len(self.held_out) // 4)][:4]:
            real = crop(clip.waveform, 2 * mel.sample_rate, rng)
            X = log_mel(torch.from_numpy(real)[None].to(self.device), mel)
            made = self.vocoder(X)[0, : len(real)].cpu().numpy()
            name = Path(clip.path).stem
            write_audio(folder / f"{step:07d}-{name}.wav", made, mel.sample_rate, provenance=None)
            waveforms += [real, np.ascontiguousarray(made)]
            titles += [f"{name}, real", f"{name}, resynthesised"]
        plot_clips(folder / f"{step:07d}.png", waveforms, titles, mel, columns=2)

    def export(self, folder: Path) -> None:
        """Write `folder/vocoder`."""
        from latentfoley.checkpoints.layout import write_vocoder

        write_vocoder(folder / "vocoder", self.recipe.model, self.vocoder.state_dict())


def _load_vae(folder: Path | None, device: torch.device) -> Vae | None:
    if folder is None:
        return None
    return read_vae(folder / "vae").to(device).eval()
