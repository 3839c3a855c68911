"""What the authors' trainer computes in a step, re-created on our modules from its settings.

The settings are those of AudioLDM's published training configuration: fp32 without autocast, mels,
CLAP and the VAE's encoder in every step, the condition from the text tower in two steps of three (a
share of 0.69 there) and from the audio tower else, text padded to 512 tokens, the transformer
blocks recomputed in the backward pass, torch's AdamW (Adam for the VAE), no clipping, and an
average that follows every weight in every step. The VAE's loss has LPIPS on a VGG16 and PatchGAN.

Left out, in its favour: the workers that read and resample files, the resident second CLAP, and
validation. The weights are random, which changes no time.
"""

import copy
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from latentfoley.audio import resample
from latentfoley.checkpoints.towers import audio_network, text_network
from latentfoley.clap_audio import audio_features
from latentfoley.config import ClapFrontEnd, MelConfig
from latentfoley.diffusion import Schedule, diffusion_loss
from latentfoley.mel import log_mel
from latentfoley.presets import compression, small
from latentfoley.training.discriminators import PatchDiscriminator, hinge_loss
from latentfoley.unet import TransformerBlock, Unet
from latentfoley.vae import Vae, kl_divergence

DROP = 0.1  # of the condition, once for the whole batch and once more for each clip
DECAY = 0.9999  # of the average
PADDED_TOKENS, N_TOKENS = 512, 12
TEXT = {"model_type": "clap_text_model"}  # transformers' default: RoBERTa-base, 512 dimensions
AUDIO = {"model_type": "clap_audio_model"}  # and the small HTS-AT
VGG16 = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512)  # 0: halve
KL_WEIGHT, ADVERSARIAL_WEIGHT = 1000.0, 0.5


class AuthorsDenoiser:
    """Waveforms → mel → CLAP → VAE → UNet → AdamW → average."""

    def __init__(self, waveforms: np.ndarray) -> None:
        self.waveforms, self.schedule = waveforms, Schedule()
        self.vae = Vae(compression(4)).requires_grad_(False)
        self.text = text_network(TEXT).eval().requires_grad_(False)
        self.audio = audio_network(AUDIO).eval().requires_grad_(False)
        self.unet = Unet(small().unet)
        for module in self.unet.modules():
            if isinstance(module, TransformerBlock):
                recomputed = partial(checkpoint, module.forward, use_reentrant=False)
                module.forward = recomputed  # type: ignore[method-assign]
        self.ema = copy.deepcopy(self.unet).requires_grad_(False)
        self.optimizer = torch.optim.AdamW(self.unet.parameters(), lr=1e-4)
        self.E_empty = self._embed_texts()[:1]

    def step(self, k: int) -> None:
        """Take one step on the whole of `waveforms`."""
        X = log_mel(torch.from_numpy(self.waveforms), MelConfig())
        with torch.no_grad():
            E = self._embed_sounds() if k % 3 == 0 else self._embed_texts()
            mean, logvar = self.vae.posterior(X)
            z_0 = mean + torch.exp(logvar / 2) * torch.randn_like(mean)
        batch_dropped, clip_dropped = torch.rand(1) < DROP, torch.rand(len(E)) < DROP
        E = torch.where((batch_dropped | clip_dropped)[:, None], self.E_empty, E)
        n = torch.randint(0, self.schedule.n_train_steps, (len(E),))
        loss = diffusion_loss(self.unet, z_0, E, n, torch.randn_like(z_0), self.schedule).mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self._follow()

    def _embed_sounds(self) -> Tensor:
        front_end = ClapFrontEnd()
        heard = [resample(w, 16_000, front_end.sample_rate) for w in self.waveforms]
        windows = torch.from_numpy(np.stack(heard))[:, : front_end.n_samples]
        E = self.audio(input_features=audio_features(windows, front_end)).audio_embeds
        return F.normalize(E, dim=-1)

    @torch.no_grad()
    def _embed_texts(self) -> Tensor:
        tokens = torch.ones(len(self.waveforms), PADDED_TOKENS, dtype=torch.long)
        tokens[:, :N_TOKENS] = torch.randint(10, 1000, (len(tokens), N_TOKENS))
        mask = (torch.arange(PADDED_TOKENS) < N_TOKENS).long().expand_as(tokens)
        return F.normalize(self.text(input_ids=tokens, attention_mask=mask).text_embeds, dim=-1)

    @torch.no_grad()
    def _follow(self) -> None:
        for average, weight in zip(self.ema.parameters(), self.unet.parameters(), strict=True):
            average.lerp_(weight, 1 - DECAY)


class AuthorsVae:
    """Waveforms → mel → VAE → L1, LPIPS, KL and PatchGAN, the adversary's step first."""

    def __init__(self, waveforms: np.ndarray) -> None:
        self.waveforms = waveforms
        self.vae, self.judge, self.lpips = Vae(compression(4)), PatchDiscriminator(64), Lpips()
        self.optimizers = [
            torch.optim.Adam(module.parameters(), lr=8e-6, betas=(0.5, 0.9))
            for module in (self.judge, self.vae)
        ]

    def step(self, k: int) -> None:
        """Take one step on the whole of `waveforms`."""
        X = log_mel(torch.from_numpy(self.waveforms), MelConfig())
        mean, logvar = self.vae.posterior(X)
        z = mean + torch.exp(logvar / 2) * torch.randn_like(mean)
        made = self.vae.decoder(self.vae.post_quant_conv(z))
        self._descend(0, hinge_loss(self.judge(X), self.judge(made.detach())))
        rec = ((X - made).abs() + self.lpips(X, made)).sum() / len(X)
        fooling = -self.judge(made).mean()
        weight = ADVERSARIAL_WEIGHT * self._ratio(rec, fooling)
        kl = KL_WEIGHT * kl_divergence(mean, logvar).mean()
        self._descend(1, rec + kl + weight * fooling)

    def _ratio(self, rec: Tensor, fooling: Tensor) -> Tensor:
        last = self.vae.decoder.conv_out.weight
        of_rec, of_fooling = (
            torch.autograd.grad(loss, last, retain_graph=True)[0].norm() for loss in (rec, fooling)
        )
        ratio: Tensor = (of_rec / (of_fooling + 1e-4)).clamp(0, 1e4).detach()
        return ratio

    def _descend(self, number: int, loss: Tensor) -> None:
        self.optimizers[number].zero_grad()
        loss.backward()
        self.optimizers[number].step()


class Lpips(nn.Module):
    """Distances of the features of VGG16 (Simonyan & Zisserman 2015; Zhang et al. 2018)."""

    def __init__(self) -> None:
        super().__init__()
        self.stages, before = nn.ModuleList(), 3
        layers: list[nn.Module] = []
        for width in (*VGG16, 0):
            if width == 0:
                self.stages.append(nn.Sequential(*layers))
                layers = [nn.MaxPool2d(2)]
                continue
            layers += [nn.Conv2d(before, width, 3, padding=1), nn.ReLU()]
            before = width
        self.requires_grad_(False)

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        total = torch.zeros(len(one), 1, 1, 1)
        a, b = one.expand(-1, 3, -1, -1), other.expand(-1, 3, -1, -1)
        for stage in self.stages:
            a, b = stage(a), stage(b)
            apart = (F.normalize(a) - F.normalize(b)).square().mean(dim=1, keepdim=True)
            total = total + apart.mean(dim=(2, 3), keepdim=True)
        return total
