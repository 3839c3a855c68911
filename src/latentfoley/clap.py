"""Text or sound → E: the embedding that both share (CLAP, Wu et al. 2022, arXiv 2211.06687).

The towers and the tokenizer are those of `transformers`; this file gives them what they need and
returns unit vectors. The audio front end is written out here because the library's draws random
crops: ours is a function of the sound alone.

Reading path: `pipeline.py` asks for E, `unet.py` receives it. It does not know about diffusion.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from latentfoley.config import PUBLISHED_FRONT_END, ClapFrontEnd
from latentfoley.mel import mel_filters, power
from latentfoley.notation import Embedding, Waveform
from latentfoley.resampling import RESAMPLERS

AudioFeatures = Float[Tensor, "B 1 T F"]

_AT_ONCE = 8  # windows: bounds memory
_FLOOR = 1e-10  # of the power, hence -100 dB


def audio_features(windows: Waveform, front_end: ClapFrontEnd) -> AudioFeatures:
    """Return 10·log₁₀ max(M · |STFT|², 10⁻¹⁰) of windows of `front_end.n_samples` samples."""
    config = front_end.mel
    bands = mel_filters(config).to(windows) @ power(windows, config)  # (B, F, T)
    return 10 * bands.clamp(min=_FLOOR).log10().transpose(1, 2).unsqueeze(1)  # (B, 1, T, F)


def cut_windows(waveform: Float[Tensor, "N"], n_samples: int) -> Waveform:
    """Return the consecutive windows of a sound; a short one is repeated whole, then padded.

    The last window of a long sound is moved back to end where the sound ends.
    """
    if len(waveform) <= n_samples:
        repeated = waveform.repeat(n_samples // len(waveform))
        return F.pad(repeated, (0, n_samples - len(repeated)))[None]
    starts = [*range(0, len(waveform) - n_samples, n_samples), len(waveform) - n_samples]
    return torch.stack([waveform[start : start + n_samples] for start in starts])


class TextTower:
    """Text → E. The tokenizer cuts what is longer than it knows."""

    def __init__(self, model: nn.Module, tokenizer: Any) -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read `text_encoder/` and `tokenizer/` of a model folder, in fp32."""
        from latentfoley.checkpoints.towers import open_text, read_tokenizer, text_network

        return cls(open_text(folder).fill(text_network), read_tokenizer(folder / "tokenizer"))

    @torch.no_grad()
    def embed(self, texts: list[str]) -> Embedding:
        """Return one unit vector per text; the empty text is a text like any other."""
        return F.normalize(self._run(texts).text_embeds, dim=-1)

    @torch.no_grad()
    def signatures(self, texts: list[str]) -> Float[Tensor, "B S"]:
        """Return unit vectors that tell known texts from unknown ones: E beside the encoder's own.

        A small CLAP maps a text that it was not trained on somewhere near those that it was; the
        sentence encoder below it still knows the difference. The cosine of two signatures is the
        mean of the cosines of both.
        """
        output = self._run(texts)
        first_token = output.last_hidden_state[:, 0]
        both = [F.normalize(vector, dim=-1) for vector in (output.text_embeds, first_token)]
        return F.normalize(torch.cat(both, dim=-1), dim=-1)

    def _run(self, texts: list[str]) -> Any:
        tokens = self.tokenizer(
            texts,
            padding=True,
            truncation=True,
            max_length=min(self.tokenizer.model_max_length, _max_tokens(self.model)),
            return_tensors="pt",
        )
        device = next(self.model.parameters()).device
        return self.model(
            input_ids=tokens["input_ids"].to(device),
            attention_mask=tokens["attention_mask"].to(device),
        )


class AudioTower:
    """Sound → E. A sound longer than the window is the mean of its windows."""

    def __init__(self, model: nn.Module, front_end: ClapFrontEnd) -> None:
        self.model = model.eval()
        self.front_end = front_end

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read `audio_encoder/` and `feature_extractor/` of a model folder, or a .ckpt; in fp32.

        Raises:
            ModelError: the folder has no audio tower, as the published ones have not.
        """
        from latentfoley.checkpoints import original, towers
        from latentfoley.checkpoints.layout import read_front_end

        if folder.is_file():
            return cls(original.open_audio(folder).fill(towers.audio_network), PUBLISHED_FRONT_END)
        model = towers.open_audio(folder).fill(towers.audio_network)
        return cls(model, read_front_end(folder / "feature_extractor"))

    @torch.no_grad()
    def embed(self, waveform: Float[np.ndarray, "N"], sample_rate: int) -> Float[Tensor, "D"]:
        """Return the unit vector of a mono sound of any length and rate."""
        return self.embed_all([self.resample(waveform, sample_rate)])[0]

    def resample(
        self, waveform: Float[np.ndarray, "N"], sample_rate: int
    ) -> Float[np.ndarray, "M"]:
        """Return a sound at the tower's rate, by the resampler the tower was trained with."""
        to_rate = RESAMPLERS[self.front_end.resampler]
        return to_rate(waveform, sample_rate, self.front_end.sample_rate)

    @torch.no_grad()
    def embed_all(self, waveforms: Sequence[Float[np.ndarray, "N"]]) -> Embedding:
        """Return the unit vectors of mono sounds at the tower's rate, each of any length."""
        device = next(self.model.parameters()).device
        cut = [cut_windows(torch.from_numpy(x), self.front_end.n_samples) for x in waveforms]
        features = [
            audio_features(some.to(device), self.front_end)
            for windows in cut
            for some in windows.split(_AT_ONCE)
        ]
        parts = torch.cat(features).split(_AT_ONCE)
        E = torch.cat([F.normalize(self.model(input_features=x).audio_embeds) for x in parts])
        means = [some.mean(dim=0) for some in E.split([len(windows) for windows in cut])]
        return F.normalize(torch.stack(means), dim=-1)

    def embed_windows(self, windows: Waveform) -> Embedding:
        """Return the unit vectors of windows at the tower's rate and length; differentiable."""
        features = audio_features(windows, self.front_end)
        return F.normalize(self.model(input_features=features).audio_embeds, dim=-1)


def _max_tokens(model: Any) -> int:
    """Return how many positions a text tower knows; RoBERTa counts them from the padding on."""
    return int(model.config.max_position_embeddings - model.config.pad_token_id - 1)
