"""Noise on a sound's E in training, so that the denoiser also answers texts that lie near it.

The denoiser is shown embeddings of sounds and asked with those of texts, which CLAP puts near, but
not on, the sounds they mean. Both functions return unit vectors near E; neither reads a caption.
"""

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from latentfoley.clap import TextTower
from latentfoley.notation import Embedding

_MOST_WORDS = 1000


def perturb(E: Embedding, length: float, rng: np.random.Generator) -> Embedding:
    """Return unit vectors near E: each plus a Gaussian vector of expected length `length`."""
    direction = torch.from_numpy(rng.standard_normal(E.shape, dtype=np.float32))
    return F.normalize(E + length / E.shape[1] ** 0.5 * direction, dim=1)


def word_directions(text: TextTower) -> Float[Tensor, "W D"]:
    """Return unit vectors from the mean of all words to single ones, on the CPU.

    The words are the tokenizer's own, up to a thousand, evenly from its vocabulary.
    """
    words = [word for word in map(str.strip, text.tokenizer.words()) if word.isalpha()]
    count = min(_MOST_WORDS, len(words))
    chosen = np.linspace(0, len(words) - 1, count).round().astype(int)
    E = text.embed([words[i] for i in chosen]).cpu()
    return F.normalize(E - E.mean(dim=0), dim=1)


def towards_words(
    E: Embedding, directions: Float[Tensor, "W D"], most: float, rng: np.random.Generator
) -> Embedding:
    """Return unit vectors near E: each moved along one direction, by a length from 0 to `most`."""
    chosen = torch.from_numpy(rng.integers(0, len(directions), len(E)))
    lengths = torch.from_numpy(rng.uniform(0, most, (len(E), 1)).astype(np.float32))
    return F.normalize(E + lengths * directions[chosen], dim=1)
