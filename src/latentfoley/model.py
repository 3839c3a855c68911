"""The parts of a loaded model and what they do: embed, encode, decode, vocode.

Sounds of any length pass through in bounded memory (`windows.py`). It knows nothing of requests
and sampling: that is `pipeline.py`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32
from torch import Tensor, nn

from latentfoley.audio import normalise_peak, read_audio, require_sound
from latentfoley.checkpoints.compat import Compat
from latentfoley.checkpoints.known_hashes import known_hash
from latentfoley.checkpoints.known_kinds import read_known_kinds
from latentfoley.checkpoints.tensors import hash_settings, hash_weights, weight_files
from latentfoley.clap import TextTower
from latentfoley.clap_audio import AudioTower
from latentfoley.config import Dtype, MelConfig, ModelConfig, Prediction
from latentfoley.cuda_graphs import Captured
from latentfoley.diffusion import ConditionalDenoiser, Schedule, from_velocity, in_precision
from latentfoley.griffin_lim import griffin_lim
from latentfoley.known import FarPrompt, KnownKinds
from latentfoley.loudness import LoudnessHead
from latentfoley.mel import log_mel
from latentfoley.notation import Latent, LogMel, Waveform
from latentfoley.provenance import Lora, ModelIdentity
from latentfoley.rows import RowsApart
from latentfoley.spectral_vocoder import SpectralVocoder
from latentfoley.unet import Unet
from latentfoley.vae import Vae
from latentfoley.vocoder import Vocoder
from latentfoley.windows import WINDOW_S, in_chunks, in_windows


@dataclass(frozen=True, eq=False)
class ModelParts:
    """A loaded model, part by part.

    Attributes:
        name: what it was loaded by.
        folder: where it lies: a folder, or a checkpoint file.
        config: of every part but CLAP.
        text, unet, vae, vocoder: the networks.
        dtype: precision of the networks; see `load`.
        tokenizer_folder: where the tokenizer lies.
        compat: how published configs were read; see `load`.
        window_s: seconds that the UNet and the VAE see at once.
        lora: the adapter that was merged into the UNet.
        revision, tokenizer, prediction: as they were given to `load`.
    """

    name: str
    folder: Path
    config: ModelConfig
    text: TextTower
    unet: Unet
    vae: Vae
    vocoder: Vocoder | SpectralVocoder
    dtype: Dtype
    tokenizer_folder: Path
    compat: Compat = "trained"
    window_s: float = WINDOW_S
    loudness: LoudnessHead | None = None
    lora: Lora | None = None
    revision: str | None = None
    tokenizer: str | None = None
    prediction: Prediction | None = None

    @cached_property
    def audio(self) -> AudioTower:
        """CLAP's audio tower, read when first needed."""
        tower = AudioTower.load(self.folder)
        tower.model.to(self.device)
        return tower

    @cached_property
    def known(self) -> KnownKinds | None:
        """The kinds of sound it was trained on, where its folder says so."""
        return read_known_kinds(self.folder)

    @cached_property
    def weights_hash(self) -> str:
        """Hash of the weights on disk; every file is read for it, once on this machine."""
        return known_hash(weight_files(self.folder), lambda: hash_weights(self.folder))

    @cached_property
    def identity(self) -> ModelIdentity:
        """Everything about the model that decides samples."""
        settings = [self.config.model_dump(mode="json"), self.window_s]
        return ModelIdentity(
            weights=self.weights_hash,
            config=hash_settings(self.folder, settings),
            tokenizer=hash_settings(self.tokenizer_folder),
            compat=self.compat,
            adapter=self.lora.hash if self.lora else None,
            dtype=self.dtype,
            device=self.device.type,
        )

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return self.unet.conv_in.weight.device

    @cached_property
    def schedule(self) -> Schedule:
        """The noise schedule it was trained with."""
        return Schedule(**self.config.schedule.model_dump(exclude={"prediction"}))

    @cached_property
    def _unet(self) -> ConditionalDenoiser:
        if self.device.type == "cuda":
            return Captured(self.unet)
        apart = self.device.type == "cpu" and self.config.unet.is_small
        return RowsApart(self.unet) if apart else self.unet

    @property
    def denoiser(self) -> ConditionalDenoiser:
        """ε_θ, whatever the network predicts."""
        network = in_precision(self._unet, self.unet.conv_in.weight.dtype)
        if self.config.schedule.prediction == "v_prediction":
            return from_velocity(network, self.schedule)
        return network

    @property
    def window(self) -> int:
        """Latent frames that the UNet and the VAE see at once."""
        frames_per_s = self.config.mel.sample_rate / self.config.mel.hop_length
        return max(4, round(self.window_s * frames_per_s / self.config.vae.compression))

    def embed(self, blend: Sequence[tuple[str, float]]) -> Float[Tensor, "D"]:
        """Return E of texts with weights: their weighted mean, made a unit vector."""
        texts, weights = zip(*blend, strict=True)
        self.text.warn_of_cuts(list(texts))
        E = torch.tensor(weights, device=self.device) @ self.text.embed(list(texts))
        return F.normalize(E, dim=0)

    def far(self, texts: Sequence[str]) -> FarPrompt | None:
        """Return what is said of the first text that is far from all that the model knows."""
        if self.known is None or not texts:
            return None
        said = self.known.far(texts, self.text.signatures(list(texts)))
        return next((one for one in said if one is not None), None)

    def embed_recordings(self, blend: Sequence[tuple[Path, float]]) -> Float[Tensor, "D"]:
        """Return E of recordings with weights, each at the level of training: mean 0, peak 0.5.

        Raises:
            AudioFileError: a recording cannot be read.
            InputError: a recording is silent.
        """
        E = torch.stack([weight * self._embed_recording(path) for path, weight in blend])
        return F.normalize(E.sum(dim=0), dim=0)

    def _embed_recording(self, path: Path) -> Float[Tensor, "D"]:
        recording = read_audio(path, sample_rate=self.config.mel.sample_rate)
        require_sound(recording.waveform, f"{path}")
        return self.audio.embed(normalise_peak(recording.waveform), recording.sample_rate)

    @torch.no_grad()
    def encode(self, waveform: Float32[np.ndarray, "N"]) -> Latent:
        """Return the latent (1, C, T/r, F/r) of a waveform at the level of training: the
        posterior's mean.

        The end is filled up with the mirrored sound to a whole number of latent frames: silence
        there would be an event of its own.
        """
        samples_per_latent = self.config.mel.hop_length * self.config.vae.compression
        n_latents = latent_shape(len(waveform), self.config)[1]
        missing = n_latents * samples_per_latent - len(waveform)
        filled = np.pad(waveform, (0, missing), mode="symmetric")
        picture = long_log_mel(torch.from_numpy(filled)[None].to(self.device), self.config.mel)
        units = (self.config.vae.compression, 1)
        encode = _in_precision(self.vae, self.vae.encode)
        return in_windows(encode, picture, window=self.window, units=units)

    def decode(self, z_0: Latent) -> LogMel:
        """Return the log-mels of latents of any length."""
        units = (1, self.config.vae.compression)
        decode = _in_precision(self.vae, self.vae.decode)
        return in_windows(decode, z_0, window=self.window, units=units)

    def vocode(self, log_mel: LogMel) -> Waveform:
        """Return the waveforms of log-mels of any length, hop · T samples."""
        mel, iterations = self.config.mel, self.config.phase_iterations
        # Every iteration goes from frames to samples and back.
        mending = (iterations + 1) * -(-mel.n_fft // mel.hop_length) if iterations else 0
        reach = self.vocoder.reach + mending
        units = (1, mel.hop_length)
        return in_chunks(self._vocode, log_mel, dims=(2, 1), units=units, reach=reach)

    def _vocode(self, log_mel: LogMel) -> Waveform:
        """Return the waveforms, their phases mended where the model asks for it."""
        waveforms: Waveform = _in_precision(self.vocoder, self.vocoder)(log_mel)
        iterations = self.config.phase_iterations
        if iterations == 0:
            return waveforms
        return griffin_lim(log_mel, self.config.mel, iterations=iterations, start=waveforms)


def _in_precision(
    network: nn.Module, compute: Callable[[Tensor], Tensor]
) -> Callable[[Tensor], Tensor]:
    """Return `compute`, from fp32 to fp32, with the network's own precision in between."""
    dtype = next(network.parameters()).dtype
    return lambda x: compute(x.to(dtype)).float()


def long_log_mel(waveform: Waveform, config: MelConfig) -> LogMel:
    """Return the log-mel of whole hops of sound, one frame to each, in bounded memory."""
    reach = -(-config.n_fft // config.hop_length)
    units = (config.hop_length, 1)
    return in_chunks(
        lambda part: log_mel(part, config), waveform, dims=(1, 2), units=units, reach=reach
    )


def latent_shape(n_samples: int, config: ModelConfig) -> tuple[int, int, int]:
    """Return (C, T/r, F/r) of the shortest latent that covers `n_samples` samples."""
    samples_per_latent = config.mel.hop_length * config.vae.compression
    bands = config.mel.n_mels // config.vae.compression
    return config.vae.latent_channels, -(-n_samples // samples_per_latent), bands
