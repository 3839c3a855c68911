"""Training of a small CLAP: sounds and their captions meet in one space.

    L = ½ (CE(s · A Tᵀ, P) + CE(s · T Aᵀ, Pᵀ)) + λ · mean (1 - aᵢ · tᵢ)

A and T are the unit embeddings of a batch of sounds and captions, s a learned scale, and P the
positives: pairs with the same labels share the target, since two captions of rain do not
contradict each other (Khosla et al. 2020, supervised contrastive learning). The last term draws a
sound onto its caption: the diffusion model is trained on the one and asked with the other.

The text encoder stays as it came (see `text_tower.py`), so its vectors are computed once per
caption; its pooler and projection are trained, with noise on the vector so that neighbours agree.
"""

import json
import warnings
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from latentfoley.checkpoints.tokenizer import Tokenizer
from latentfoley.clap import TextTower
from latentfoley.clap_audio import AudioTower, audio_features
from latentfoley.config import ClapFrontEnd, Config
from latentfoley.data.augment import Example, draw_caption, draw_example
from latentfoley.data.recordings import Clip, generator
from latentfoley.errors import RecipeError, TrainingWarning
from latentfoley.notation import Embedding
from latentfoley.training import parallel
from latentfoley.training.checkpoint import start_from
from latentfoley.training.optimisation import Optimisation, mean_losses
from latentfoley.training.parallel import gather_with_gradients, share_statistics
from latentfoley.training.recipe import DataRecipe, RunRecipe, recordings_size, some
from latentfoley.training.task import Task
from latentfoley.training.text_tower import from_minilm

_HIGHEST_SCALE = 100.0  # of the logits, as in CLIP
_SLOPE_DB = 6.0  # most that the lowest and highest band are raised or lowered in training
_LEVELS_DB = (-20.0, 6.0)


class AudioTowerConfig(Config):
    """The HTS-AT audio transformer (Chen et al. 2022): `width` doubles with every stage.

    A picture of `image_size`² is folded from mel frames: image_size² / n_mels of them, so a window
    may have that many frames at most.
    """

    width: int = 96
    depths: tuple[int, ...] = (2, 2, 6, 2)
    heads: tuple[int, ...] = (4, 8, 16, 32)
    attention_window: int = 8
    image_size: int = 256
    patch_size: int = 4


class ClapRecipe(Config):
    """The TOML of `latentfoley train clap`."""

    run: RunRecipe
    data: DataRecipe
    front_end: ClapFrontEnd
    model: AudioTowerConfig
    embedding_dim: int = 512
    mix_probability: float = Field(default=0.3, ge=0, le=1)
    alignment_weight: float = Field(default=1.0, ge=0)
    # Standard deviation of the noise on a caption's vector, whose elements have unit variance.
    sentence_noise: float = Field(default=0.2, ge=0)
    # Most mel bands and the greatest share of time that are masked in a clip (SpecAugment).
    blank_bands: int = Field(default=12, ge=0)
    blank_time: float = Field(default=0.2, ge=0, lt=1)
    weight_decay: float = 0.05
    # Of the audio tower: residual branches left out of a clip, and numbers inside its MLPs.
    drop_path: float = Field(default=0.1, ge=0, lt=1)
    dropout: float = Field(default=0.1, ge=0, lt=1)
    # A folder holding trained towers to go on from; None starts from the sentence encoder.
    start: Path | None = None
    # Whether sounds keep the E that `start` gives them, and texts alone are trained: for captions
    # that came later. Latents that were encoded, and a denoiser that was trained, stay valid. The
    # first window of every recording is embedded once, neither mixed nor changed.
    frozen_audio: bool = False

    @model_validator(mode="after")
    def _require_trained_audio(self) -> Self:
        if self.frozen_audio and self.start is None:
            raise ValueError("frozen_audio keeps the audio tower of 'start': give 'start'")
        return self


_Embedded = tuple[list[Example], Embedding, Embedding]


class Logits(nn.Module):
    """The learned scale of the similarities, kept as its logarithm."""

    def __init__(self) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(1 / 0.07).log())

    def forward(self, A: Embedding, T: Embedding) -> Tensor:
        return self.log_scale.exp().clamp(max=_HIGHEST_SCALE) * A @ T.T


class ClapTask(Task):
    """See `latentfoley.training.task.Task`."""

    kind = "clap"

    recipe: ClapRecipe

    def __init__(self, recipe: ClapRecipe, device: torch.device) -> None:
        torch.manual_seed(recipe.run.seed)
        self.recipe, self.device = recipe, device
        if recipe.run.accumulate > 1:
            raise RecipeError(
                "run.accumulate: the contrast compares every pair of the batch, which has "
                f"no micro-batches; got {recipe.run.accumulate}, allowed: 1, or more processes"
            )
        self.optimisation = Optimisation(recipe.run, device)
        self.clips = _captioned(recipe)
        self.validation_clips = recipe.data.clips("valid", recipe.front_end.sample_rate)
        model, tokenizer = from_minilm(recipe.embedding_dim)
        self.text = TextTower(model.to(device), Tokenizer.of(tokenizer))
        self.tokenizer = tokenizer
        self.audio = AudioTower(_audio_model(recipe).to(device), recipe.front_end)
        if recipe.start is not None:
            text, audio = TextTower.load(recipe.start), AudioTower.load(recipe.start)
            start_from(self.text.model, text.model, recipe.start / "text_encoder")
            start_from(self.audio.model, audio.model, recipe.start / "audio_encoder")
        share_statistics(self.audio.model)
        self.audio.model.eval()  # statistics are taken in steps that train it, and nowhere else
        self.logits = Logits().to(device)
        self.sentences: dict[str, Tensor] = {}
        self.sounds: dict[int, Tensor] = {}
        self.modules: dict[str, nn.Module] = {
            "audio": self.audio.model,
            "pooler": model.text_model.pooler,
            "projection": model.text_projection,
            "logits": self.logits,
        }
        if recipe.frozen_audio:
            self.audio.model.requires_grad_(False)
        every = [p for module in self.modules.values() for p in module.parameters()]
        parameters = [p for p in every if p.requires_grad]
        self.optimizers: dict[str, torch.optim.Optimizer] = {
            "clap": torch.optim.AdamW(parameters, weight_decay=recipe.weight_decay)
        }

    @property
    def data_size(self) -> dict[str, float]:
        """Recordings and their seconds; see `recordings_size`."""
        return recordings_size(self.clips, self.validation_clips, self.recipe.front_end.sample_rate)

    def step(self, step: int) -> dict[str, float]:
        """One contrastive step on a batch of (mixed) crops and one caption each."""
        rng = generator(self.recipe.run.seed, step)
        # What is dropped is drawn from the global stream: tie it to the step, and to the process.
        torch.manual_seed(int(rng.integers(2**31)) + parallel.rank())
        embed = self._embed_known if self.recipe.frozen_audio else self._embed_drawn
        examples, A, T = embed(rng)
        losses = self._losses(A, T, _in_turn(examples))
        total = losses["contrast"] + self.recipe.alignment_weight * losses["alignment"]
        norm = self.optimisation.step([total], self.optimizers["clap"])
        return mean_losses([losses]) | {"gradient_norm": norm.item()}

    def _embed_drawn(self, rng: np.random.Generator) -> _Embedded:
        """Return (mixed) crops with one caption each, E of all sounds and E of all captions.

        Every process embeds its own rows, and the contrast is of every pair of the whole batch.
        """
        n_samples = self.recipe.front_end.n_samples
        examples = [
            draw_example(self.clips, n_samples, self.recipe.mix_probability, rng)
            for _ in range(self.recipe.run.batch_size)
        ]
        tilts, masks = self._tilts(rng), self._masks(rng)
        windows = torch.from_numpy(np.stack([example.waveform for example in examples]))
        ((windows, tilts, masks, noisy),) = self.optimisation.micro_batches(
            windows, tilts, masks, self._noisy_sentences(examples, rng)
        )
        features = audio_features(windows, self.recipe.front_end)
        A = self._embed_sounds(_blank(features + tilts, masks))
        T = self._embed_sentences(noisy)
        return examples, gather_with_gradients(A), gather_with_gradients(T)

    def _embed_known(self, rng: np.random.Generator) -> _Embedded:
        """Return the same of whole recordings, whose E do not change."""
        drawn = rng.integers(len(self.clips), size=self.recipe.run.batch_size)
        examples = [draw_caption(self.clips[k], rng) for k in drawn]
        known = torch.cat([self._sound(int(k)) for k in drawn])
        ((A, noisy),) = self.optimisation.micro_batches(known, self._noisy_sentences(examples, rng))
        T = self._embed_sentences(noisy)
        return examples, gather_with_gradients(A), gather_with_gradients(T)

    @torch.no_grad()
    def _sound(self, k: int) -> Embedding:
        """Return E (1, D) of a recording, which is embedded once."""
        if k not in self.sounds:
            self.sounds[k] = self._embed_clip(self.clips[k]).cpu()
        return self.sounds[k]

    def _noisy_sentences(self, examples: list[Example], rng: np.random.Generator) -> Tensor:
        vectors = torch.stack([self._sentence(example.caption) for example in examples])
        noise = torch.from_numpy(rng.standard_normal(vectors.shape, dtype=np.float32))
        return vectors.cpu() + self.recipe.sentence_noise * noise

    def _embed_sounds(self, features: Tensor) -> Embedding:
        self.audio.model.train()
        with self.optimisation.autocast():
            A = self.audio.model(input_features=features).audio_embeds
        self.audio.model.eval()
        return F.normalize(A.float(), dim=-1)

    def _embed_sentences(self, vectors: Tensor) -> Embedding:
        pooled = self.modules["pooler"](vectors.unsqueeze(1))
        return F.normalize(self.modules["projection"](pooled), dim=-1)

    def _tilts(self, rng: np.random.Generator) -> Tensor:
        """Return a spectral tilt for each clip: a random level and slope over bands, in dB."""
        count = self.recipe.run.batch_size
        slopes_db = rng.uniform(-_SLOPE_DB, _SLOPE_DB, (count, 1, 1, 1))
        levels_db = rng.uniform(*_LEVELS_DB, (count, 1, 1, 1))
        bands = np.linspace(-1, 1, self.recipe.front_end.n_mels)
        return torch.from_numpy((levels_db + slopes_db * bands).astype(np.float32))

    def _masks(self, rng: np.random.Generator) -> Tensor:
        """Return the SpecAugment masks of each clip: start and end of frames, and of bands."""
        front_end = self.recipe.front_end
        frames = front_end.n_samples // front_end.hop_length + 1
        most = np.array([int(self.recipe.blank_time * frames), self.recipe.blank_bands])
        widths = rng.integers(0, most + 1, (self.recipe.run.batch_size, 2))
        starts = rng.integers(0, np.array([frames, front_end.n_mels]) - widths + 1)
        return torch.from_numpy(np.stack([starts, starts + widths], axis=-1))  # (B, 2, 2)

    def _sentence(self, caption: str) -> Tensor:
        if caption not in self.sentences:
            self.sentences[caption] = self._encode(caption)
        return self.sentences[caption]

    @torch.no_grad()
    def _encode(self, caption: str) -> Tensor:
        """Return the frozen encoder's vector (384) of a caption.

        Captions are encoded one by one: other captions in a batch change the last digits, and a
        resumed run batches them differently.
        """
        ids, mask = self.text.tokenizer.encode([caption], self.text.tokenizer.most_tokens)
        output = self.text.model.text_model(  # type: ignore[operator]
            input_ids=ids.to(self.device), attention_mask=mask.to(self.device)
        )
        vector: Tensor = output.last_hidden_state[0, 0]
        return vector

    def _losses(self, A: Embedding, T: Embedding, examples: list[Example]) -> dict[str, Tensor]:
        logits = self.logits(A, T)
        same = [[a.labels == b.labels for b in examples] for a in examples]
        positives = torch.tensor(same, dtype=logits.dtype, device=logits.device)
        P = positives / positives.sum(dim=1, keepdim=True)
        contrast = 0.5 * (F.cross_entropy(logits, P) + F.cross_entropy(logits.T, P))
        return {"contrast": contrast, "alignment": (1 - (A * T).sum(dim=1)).mean()}

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Return the losses of the validation sounds with their first captions, as one batch."""
        clips = [clip for clip in some(self.validation_clips) if clip.captions]
        if not clips:
            return {}
        examples = [
            Example(clip.waveform, clip.captions[0], frozenset(clip.labels or [clip.path]))
            for clip in clips
        ]
        A = torch.cat([self._embed_clip(clip) for clip in clips])
        T = self._embed_sentences(torch.stack([self._sentence(e.caption) for e in examples]))
        losses = mean_losses([self._losses(A, T, examples)])
        total = losses["contrast"] + self.recipe.alignment_weight * losses["alignment"]
        return {"validation_loss": total} | {f"validation_{name}": x for name, x in losses.items()}

    @torch.no_grad()
    def preview(self, folder: Path, step: int) -> None:
        """Write how near held-out sounds of each label are to the captions of each, as a picture,
        and how often the nearest captions are their own, as JSON.
        """
        from latentfoley.pictures import plot_matrix

        captioned = {label for clip in self.clips if clip.captions for label in clip.labels}
        validated = {clip.labels[0] for clip in self.validation_clips if clip.labels}
        labels = sorted(captioned & validated)
        if not labels:
            return
        said = [self.text.embed(self._captions_of(label)).mean(dim=0) for label in labels]
        T = F.normalize(torch.stack(said), dim=1)
        cosines = {label: self._embed_label(label) @ T.T for label in labels}
        right = {
            label: float((cosines[label].argmax(dim=1) == k).float().mean())
            for k, label in enumerate(labels)
        }
        table = torch.stack([cosines[label].mean(dim=0) for label in labels]).cpu().numpy()
        plot_matrix(folder / f"{step:07d}.png", table, labels, f"held out, after {step} steps")
        (folder / f"{step:07d}.json").write_text(json.dumps(right, indent=2) + "\n")

    def _embed_label(self, label: str) -> Embedding:
        """Return E of the first window of every validation recording of a label."""
        clips = [clip for clip in self.validation_clips if clip.labels[:1] == (label,)]
        return torch.cat([self._embed_clip(clip) for clip in clips])

    def _embed_clip(self, clip: Clip) -> Embedding:
        """Return E (1, D) of the first window of a recording."""
        window = self.audio.windows(clip.waveform)[:1]
        return self.audio.embed_windows(window.to(self.device))

    def _captions_of(self, label: str) -> list[str]:
        return sorted({c for clip in self.clips if label in clip.labels for c in clip.captions})

    def export(self, folder: Path) -> None:
        """Write `text_encoder`, `tokenizer`, `audio_encoder` and `feature_extractor`."""
        from latentfoley.checkpoints.layout import write_front_end

        self.text.model.save_pretrained(folder / "text_encoder")  # type: ignore[operator]
        self.tokenizer.save_pretrained(folder / "tokenizer")
        self.audio.model.save_pretrained(folder / "audio_encoder")  # type: ignore[operator]
        write_front_end(folder / "feature_extractor", self.recipe.front_end)


def _captioned(recipe: ClapRecipe) -> list[Clip]:
    """Return the training recordings that have a caption.

    Warns:
        TrainingWarning: some have none, and are left out.

    Raises:
        RecipeError: none of them has one.
    """
    clips = recipe.data.clips("train", recipe.front_end.sample_rate)
    captioned = [clip for clip in clips if clip.captions]
    n_without, manifest = len(clips) - len(captioned), recipe.data.manifest
    if not captioned:
        raise RecipeError(
            f"none of the {len(clips)} recordings in {manifest} to train on has a caption; CLAP "
            "learns from pairs of a sound and a caption"
        )
    if n_without and parallel.rank() == 0:
        warnings.warn(
            f"{n_without} of {len(clips)} recordings in {manifest} have no caption and are left "
            "out: CLAP learns from pairs of a sound and a caption",
            TrainingWarning,
            2,
        )
    return captioned


def _blank(features: Tensor, masks: Tensor) -> Tensor:
    """Replace the masked frames and mel bands by the clip's mean (SpecAugment)."""
    features = features.clone()
    for clip, ((start, end), (low, high)) in zip(features, masks.tolist(), strict=True):
        mean = clip.mean()
        clip[:, start:end] = mean
        clip[:, :, low:high] = mean
    return features


def _in_turn(examples: list[Example]) -> list[Example]:
    """Return the examples in the order in which the processes' rows are gathered."""
    n = parallel.n_processes()
    return [example for first in range(n) for example in examples[first::n]]


def _audio_model(recipe: ClapRecipe) -> Any:
    from transformers import ClapAudioConfig, ClapAudioModelWithProjection

    model, front_end = recipe.model, recipe.front_end
    config = ClapAudioConfig(
        window_size=model.attention_window,
        num_mel_bins=front_end.n_mels,
        spec_size=model.image_size,
        patch_size=model.patch_size,
        patch_stride=[model.patch_size] * 2,
        patch_embeds_hidden_size=model.width,
        hidden_size=model.width * 2 ** (len(model.depths) - 1),
        depths=list(model.depths),
        num_attention_heads=list(model.heads),
        num_hidden_layers=len(model.depths),
        projection_dim=recipe.embedding_dim,
        drop_path_rate=recipe.drop_path,
        hidden_dropout_prob=recipe.dropout,
        enable_fusion=False,
    )
    return ClapAudioModelWithProjection(config)
