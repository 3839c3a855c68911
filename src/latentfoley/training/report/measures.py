"""What the sounds of a run measure, by the metrics of `latentfoley.evaluation`.

Whether embeddings find their own among others is told by rank:

    r = how many of the wrong ones lie nearer than the right one / how many there are,

0 where the right one is the nearest, 1/2 by chance. Paths in a recipe count from the folder that
the training ran in, so the report has to be made from there too.

Each `measure_` raises an UnmeasuredError where the run lacks what it needs, and a UserError where
the data or a model that the recipe names is missing.
"""

from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from latentfoley.audio import read_audio
from latentfoley.checkpoints.tokenizer import Tokenizer
from latentfoley.checkpoints.towers import text_network
from latentfoley.clap import TextTower
from latentfoley.clap_audio import AudioTower
from latentfoley.config import MelConfig
from latentfoley.data.encoder import audio_tower
from latentfoley.data.latents import LatentCache
from latentfoley.data.recordings import Samples
from latentfoley.evaluation.metrics.diversity import cosine_distances, nearest_training_score
from latentfoley.levels import Levels, measure
from latentfoley.mel import log_mel
from latentfoley.notation import Embedding
from latentfoley.training.base_model import open_base_model
from latentfoley.training.diffusion_recipe import DiffusionRecipe
from latentfoley.training.recipe import DataRecipe, some
from latentfoley.training.report.findings import UnmeasuredError
from latentfoley.training.report.run import Run

_MOST_TRAINING, _MOST_HELD_OUT = 400, 64  # windows that are compared with
_LEAST_PAIRS = 4
_CLAP_RATE = 16_000  # recordings are read at; a tower resamples to its own


class Nearness(NamedTuple):
    """How near previews and held-out windows are to what was trained on; each one per sound.

    Attributes:
        generated, held_out: 1 - cosine to the nearest training window.
        generated_mel: mean log-mel difference to the recording of each preview, in nats.
        held_out_mel: the same to the nearest training window.
    """

    generated: np.ndarray
    held_out: np.ndarray
    generated_mel: np.ndarray
    held_out_mel: np.ndarray


class Ranks(NamedTuple):
    """How well N embeddings find their own among G others.

    Attributes:
        rank: the mean of r.
        own, other: mean cosines to what belongs to them, and to what does not.
        n, n_among: N and G.
    """

    rank: float
    own: float
    other: float
    n: int
    n_among: int


def rank(E: Embedding, among: Embedding, own: list[int]) -> Ranks:
    """Return how near `among[own[i]]` is to `E[i]`, of all in `among`."""
    cosines = 1 - cosine_distances(E.double().numpy(), among.double().numpy())
    right = cosines[np.arange(len(E)), own]
    n_wrong = len(among) - 1
    return Ranks(
        rank=float(((cosines > right[:, None]).sum(axis=1) / n_wrong).mean()),
        own=float(right.mean()),
        other=float((cosines.sum(axis=1) - right).mean() / n_wrong),
        n=len(E),
        n_among=len(among),
    )


def measure_levels(run: Run) -> list[tuple[Levels, Levels | None]]:
    """Return the levels of the last previews and of their recordings."""
    preview = next((one for one in reversed(run.previews) if one.generated), None)
    if preview is None:
        raise UnmeasuredError("the run wrote no generated previews as sound")
    real = {k: _levels(path) for k, path in preview.recordings.items()}
    return [(_levels(path), real.get(k)) for k, path in preview.generated.items()]


def _levels(path: Path) -> Levels:
    recording = read_audio(path, sample_rate=None)
    return measure(recording.waveform, recording.sample_rate)


def measure_nearness(run: Run) -> Nearness:
    """Compare the last previews and held-out windows with training windows."""
    made, real = _last_pairs(run)
    denoiser = _open_denoiser(run)
    seen = denoiser.windows("train", _MOST_TRAINING)
    unseen = denoiser.windows("valid", _MOST_HELD_OUT)
    audio, mel = denoiser.clap.audio, denoiser.mel
    known = torch.cat([seen.E, _embed(audio, real)]).double().numpy()
    X, X_real = (log_mel(torch.from_numpy(np.stack(row)), mel) for row in (made, real))
    nearest = [(one - seen.log_mel).abs().mean(dim=(1, 2)).min() for one in unseen.log_mel]

    def distances(E: Embedding) -> np.ndarray:
        return np.asarray(nearest_training_score(E.double().numpy(), known).per_clip)

    return Nearness(
        generated=distances(_embed(audio, made)),
        held_out=distances(unseen.E),
        generated_mel=(X - X_real).abs().mean(dim=(1, 2, 3)).numpy(),
        held_out_mel=torch.stack(nearest).numpy(),
    )


def measure_following(run: Run) -> Ranks:
    """Rank the recording of each of the last previews among all of them."""
    made, real = _last_pairs(run)
    audio = _open_denoiser(run).clap.audio
    return rank(_embed(audio, made), _embed(audio, real), list(range(len(made))))


def measure_alignment(run: Run) -> Ranks:
    """Rank the captions of each held-out sound among all captions.

    Sounds with the same captions are one group, and the group is one text.
    """
    clap, E, captions = _of_clap(run) if run.kind == "clap" else _of_denoiser(run)
    rows = [k for k, said in enumerate(captions) if said]
    groups = sorted({captions[k] for k in rows})
    if len(groups) < _LEAST_PAIRS:
        raise UnmeasuredError(
            f"the held-out recordings have captions of {len(groups)} kinds, and {_LEAST_PAIRS} are "
            "needed; the denoiser needs none to be trained"
        )
    T = torch.stack([clap.text.embed(list(group)).mean(dim=0) for group in groups])
    return rank(E[rows], F.normalize(T, dim=1), [groups.index(captions[k]) for k in rows])


class _Clap(NamedTuple):
    audio: AudioTower
    text: TextTower


class _Windows(NamedTuple):
    """Windows of a split: log-mel, embedding of the sound and captions of each."""

    log_mel: Float[Tensor, "N T F"]
    E: Embedding
    captions: list[tuple[str, ...]]


class _Denoiser(NamedTuple):
    """What a denoiser was trained with."""

    clap: _Clap
    mel: MelConfig
    latents: str

    def windows(self, split: Literal["train", "valid"], most: int) -> _Windows:
        """Return at most so many windows of a split, taken evenly from all of it."""
        cache = LatentCache(self.latents, split)
        if len(cache) < 2:
            raise UnmeasuredError(f"there are {len(cache)} windows in '{split}', and 2 are needed")
        items = list(range(0, len(cache), -(-len(cache) // most)))
        fields = cache.batch(items, ("log_mel", "E"))
        captions = [tuple(sorted(cache.captions(item))) for item in items]
        return _Windows(fields["log_mel"].float(), fields["E"].float(), captions)


def _open_denoiser(run: Run) -> _Denoiser:
    recipe = DiffusionRecipe.parse(run.recipe, where="the recipe in run.json")
    parts = open_base_model(recipe)
    tokenizer = Tokenizer.read(parts.find_tokenizer())
    clap = _Clap(audio_tower(parts), TextTower(parts.text.fill(text_network), tokenizer))
    return _Denoiser(clap, parts.about.mel, recipe.data.latents)


_Captioned = tuple[_Clap, Embedding, list[tuple[str, ...]]]


def _of_denoiser(run: Run) -> _Captioned:
    denoiser = _open_denoiser(run)
    held_out = denoiser.windows("valid", _MOST_HELD_OUT)
    return denoiser.clap, held_out.E, held_out.captions


def _of_clap(run: Run) -> _Captioned:
    folder = run.folder / "model"
    if not folder.is_dir():
        raise UnmeasuredError("the run has not finished, and writes its model at the end")
    clap = _Clap(AudioTower.load(folder), TextTower.load(folder))
    data = DataRecipe.parse(run.recipe["data"], where="the recipe in run.json")
    held_out = some(data.clips("valid", _CLAP_RATE), _MOST_HELD_OUT)
    E = _embed(clap.audio, [clip.waveform for clip in held_out])
    return clap, E, [tuple(sorted(clip.captions)) for clip in held_out]


def _embed(audio: AudioTower, waveforms: list[Samples]) -> Embedding:
    return torch.stack([audio.embed(waveform, _CLAP_RATE) for waveform in waveforms])


def _last_pairs(run: Run) -> tuple[list[Samples], list[Samples]]:
    """Return the last generated previews, and the recording that each was generated from."""
    for preview in reversed(run.previews):
        both = sorted(preview.generated.keys() & preview.recordings.keys())
        if len(both) >= _LEAST_PAIRS:
            return _read(preview.generated, both), _read(preview.recordings, both)
    raise UnmeasuredError(f"the run wrote no {_LEAST_PAIRS} previews with their recordings")


def _read(row: dict[int, Path], numbers: list[int]) -> list[Samples]:
    return [read_audio(row[k], sample_rate=_CLAP_RATE).waveform for k in numbers]
