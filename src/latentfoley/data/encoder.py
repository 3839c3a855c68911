"""Sound → all that training reads of it: log-mel, posterior of the VAE, CLAP embedding.

Only what these depend on goes into an encoder's identity: the encoder half of the VAE, the audio
tower, and both front ends. A model whose decoder, vocoder or denoiser was trained on has the same
identity, and what was encoded with it stays good.
"""

import math
from collections.abc import Iterator
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32
from torch import Tensor

from latentfoley.audio import fit_length, is_silent, normalise_peak
from latentfoley.checkpoints.layout import read_description, read_vae
from latentfoley.checkpoints.parts import Parts
from latentfoley.checkpoints.towers import audio_network
from latentfoley.clap_audio import AudioTower
from latentfoley.config import ClapFrontEnd, Config, MelConfig
from latentfoley.devices import choose_device
from latentfoley.errors import InputError, ModelError
from latentfoley.loading import open_model
from latentfoley.mel import log_mel
from latentfoley.vae import Vae

MAX_WINDOW_S = 120.0

Samples = Float32[np.ndarray, "N"]
Fields = dict[str, Tensor]

# What a configuration of `transformers` says about who wrote it, not about what it computes.
_NOT_COMPUTED = ("transformers_version", "_name_or_path", "architectures", "dtype", "torch_dtype")
_DIGITS = 16


class Identity(Config):
    """What an encoding depends on.

    Attributes:
        vae, clap: hashes of the weights that take part, and of their configuration.
        mel, front_end: the inputs of the VAE and of the audio tower.
        n_frames: mel frames in a window.
    """

    vae: str
    clap: str
    mel: MelConfig
    front_end: ClapFrontEnd
    n_frames: int


class Window(NamedTuple):
    """A part of a clip at the model's rate and of the model's length."""

    start_s: float
    waveform: Samples


class Source(NamedTuple):
    """Which encoder to load.

    Attributes:
        model: a name, folder, hub id or .ckpt with a CLAP audio tower.
        duration_s: of a window, in seconds; rounded up to what the VAE can divide.
        device: as in `load`.
        vae, clap: folders that hold the trained `vae` and `audio_encoder`, in the model's place.
    """

    model: str = "tiny"
    duration_s: float = 5.12
    device: str | None = None
    vae: Path | None = None
    clap: Path | None = None


class Encoder:
    """The parts of a model that encode, for windows of one length."""

    def __init__(
        self, vae: Vae, tower: AudioTower, mel: MelConfig, n_frames: int, device: torch.device
    ) -> None:
        self.vae, self.tower, self.mel, self.n_frames = vae.to(device), tower, mel, n_frames
        self.device = device
        tower.model.to(device)

    @classmethod
    def load(cls, source: Source) -> Self:
        """Read the parts that encode.

        Raises:
            ModelError: there is no such model, or it has no CLAP audio tower.
            InputError: a duration outside 0 to 120 s, no such device, or only one of two parts.
        """
        where = choose_device(source.device)
        if (source.vae is None) != (source.clap is None):
            raise InputError("vae and clap stand in for a model together; one of them is missing")
        if source.vae is not None and source.clap is not None:
            mel, vae = read_description(source.vae).mel, read_vae(source.vae / "vae")
            tower = AudioTower.load(source.clap)
        else:
            parts = open_model(source.model)
            mel, vae, tower = parts.about.mel, parts.vae.fill(Vae), audio_tower(parts)
        n_frames = _count_frames(source.duration_s, mel, vae.config.compression)
        return cls(vae, tower, mel, n_frames, where)

    @property
    def identity(self) -> Identity:
        """What its encodings depend on."""
        vae = {
            key: tensor
            for key, tensor in self.vae.state_dict().items()
            if key.startswith(("encoder.", "quant_conv."))
        }
        # The scaling factor is applied when a latent is drawn, not when it is encoded.
        vae_config = self.vae.config.model_dump_json(exclude={"scaling_factor"})
        clap_config = self.tower.model.config.to_dict()  # type: ignore[union-attr, operator]
        computed = {name: v for name, v in clap_config.items() if name not in _NOT_COMPUTED}
        return Identity(
            vae=_hash(vae, vae_config),
            clap=_hash(self.tower.model.state_dict(), repr(sorted(computed.items()))),
            mel=self.mel,
            front_end=self.tower.front_end,
            n_frames=self.n_frames,
        )

    @property
    def n_samples(self) -> int:
        """Samples in a window."""
        return self.n_frames * self.mel.hop_length

    def windows(self, waveform: Samples) -> Iterator[Window]:
        """Yield the audible windows of a clip, each at peak 0.5 as AudioLDM's trainer has them.

        They follow on each other; the last of a long clip is moved back to end where the clip ends,
        and a short clip stands in silence.
        """
        n_last = max(0, len(waveform) - self.n_samples)
        for start in [*range(0, n_last, self.n_samples), n_last]:
            part = waveform[start : start + self.n_samples]
            if not is_silent(part):
                whole = fit_length(normalise_peak(part), self.n_samples)
                yield Window(start / self.mel.sample_rate, whole)

    @torch.no_grad()
    def encode(self, waveforms: Float32[np.ndarray, "B N"]) -> Fields:
        """Return `log_mel` (B, T, F), `mean` and `std` (B, C, T/r, F/r) and `E` (B, D), in fp16.

        The latent is unscaled: z_0 = scaling_factor · (mean + std · noise).
        """
        X = log_mel(torch.from_numpy(waveforms).to(self.device), self.mel)[:, :, : self.n_frames]
        mean, logvar = self.vae.posterior(X)
        fields = {
            "log_mel": X.squeeze(1),
            "mean": mean,
            "std": torch.exp(logvar / 2),
            "E": self._embed(waveforms),
        }
        return {name: field.half().cpu() for name, field in fields.items()}

    def _embed(self, waveforms: Float32[np.ndarray, "B N"]) -> Float[Tensor, "B D"]:
        """Return E of each waveform, as `AudioTower.embed` does, but together."""
        rate = self.mel.sample_rate
        windows = [
            self.tower.windows(self.tower.resample(waveform, rate)) for waveform in waveforms
        ]
        E = self.tower.embed_windows(torch.cat(windows).to(self.device))  # (B·W, D)
        return F.normalize(E.unflatten(0, (len(waveforms), -1)).mean(dim=1), dim=1)  # (B, D)


def _count_frames(duration_s: float, mel: MelConfig, compression: int) -> int:
    if not (0 < duration_s <= MAX_WINDOW_S):
        raise InputError(f"windows of {duration_s} s; allowed: more than 0, at most {MAX_WINDOW_S}")
    n_frames = math.ceil(duration_s * mel.sample_rate / mel.hop_length - 1e-6)
    return -(-n_frames // compression) * compression


def _hash(weights: Fields, config: str) -> str:
    """Return the first digits of a hash over tensors, by their names, and a configuration."""
    digest = sha256(config.encode())
    for key in sorted(weights):
        tensor = weights[key].detach().cpu().contiguous()
        digest.update(f"{key} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.view(torch.uint8).numpy().tobytes() if tensor.dim() else b"")
    return digest.hexdigest()[:_DIGITS]


def audio_tower(parts: Parts) -> AudioTower:
    """Return CLAP's audio tower of a model.

    Raises:
        ModelError: it has none, as the published folders have not.
    """
    if parts.audio is None:
        raise ModelError(
            f"{parts.where} has no CLAP audio tower (audio_encoder/), which embeds what is trained "
            "on. A published .ckpt holds one: `latentfoley models convert FILE OUT`"
        )
    return AudioTower(parts.audio.fill(audio_network), parts.front_end)


@lru_cache(maxsize=1)
def load_encoder(source: Source) -> Encoder:
    """Load an encoder once in a process."""
    return Encoder.load(source)
