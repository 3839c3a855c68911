"""What one step of diffusion training sees, drawn from a cache of latents.

The embedding a clip is shown by is that of its *sound*; captions are read only where the recipe's
`conditioning` asks for them. A batch depends on (seed, step) alone.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from latentfoley.clap import TextTower
from latentfoley.data.latents import LatentCache
from latentfoley.data.recordings import generator
from latentfoley.diffusion import Schedule
from latentfoley.errors import RecipeError
from latentfoley.notation import Embedding, Latent
from latentfoley.training.diffusion_recipe import DiffusionRecipe
from latentfoley.training.embedding_noise import perturb, towards_words, word_directions


class Batch(NamedTuple):
    """Clean latents, embeddings, steps and noise of B clips."""

    z_0: Latent
    E: Embedding
    n: Int[Tensor, "B"]
    eps: Latent

    def to(self, device: torch.device) -> "Batch":
        """Return the same on another device."""
        return Batch(*(field.to(device) for field in self))


class Batches:
    """Draws batches from a cache."""

    def __init__(
        self,
        recipe: DiffusionRecipe,
        cache: LatentCache,
        text: TextTower,
        scaling_factor: float,
        schedule: Schedule,
    ) -> None:
        """Prepare to draw.

        Raises:
            RecipeError: conditioning by text, and a clip of which nothing was said.
        """
        self.recipe, self.cache, self.text = recipe, cache, text
        self.scaling_factor, self.n_train_steps = scaling_factor, schedule.n_train_steps
        self.E_empty = text.embed([""]).cpu()
        self.directions = word_directions(text) if recipe.word_noise else None
        if recipe.conditioning == "text":
            _require_captions(cache)

    def draw(self, step: int) -> Batch:
        """Return the batch of a step, on the CPU: z_0 from the posterior, n uniform."""
        rng = generator(self.recipe.run.seed, step)
        size = self.recipe.run.batch_size
        items = rng.integers(0, len(self.cache), size).tolist()
        fields = {name: field.float() for name, field in self.cache.batch(items).items()}
        noise, eps = rng.standard_normal((2, *fields["mean"].shape), dtype=np.float32)
        z_0 = self.scaling_factor * (fields["mean"] + fields["std"] * torch.from_numpy(noise))
        dropped = torch.from_numpy(rng.random(size) < self.recipe.unconditional_probability)
        E = self._moved(fields["E"], rng)
        n = torch.from_numpy(rng.integers(0, self.n_train_steps, size))
        if self.recipe.conditioning != "audio":
            E = self._spoken(E, items, rng)
        E = torch.where(dropped[:, None], self.E_empty, E)
        return Batch(z_0, E, n, torch.from_numpy(eps))

    def _moved(self, E: Embedding, rng: np.random.Generator) -> Embedding:
        """Return unit vectors near E, as the recipe asks."""
        E = perturb(E, self.recipe.embedding_noise, rng)
        if self.directions is None:
            return E
        return towards_words(E, self.directions, self.recipe.word_noise, rng)

    def _spoken(self, E: Embedding, items: list[int], rng: np.random.Generator) -> Embedding:
        """Return E with a share of the clips shown by one of their captions."""
        chosen = {}
        for row, item in enumerate(items):
            captions = self.cache.captions(item)
            if captions and rng.random() < self.recipe.share_of_text:
                chosen[row] = captions[rng.integers(len(captions))]
        if not chosen:
            return E
        rows = torch.tensor(list(chosen))
        return E.index_copy(0, rows, self.text.embed(list(chosen.values())).cpu())


def _require_captions(cache: LatentCache) -> None:
    silent = [cache.key(item) for item in range(len(cache)) if not cache.captions(item)]
    if silent:
        raise RecipeError(
            f"conditioning is 'text', and {len(silent)} of {len(cache)} windows in "
            f"'{cache.place}' have no caption, first of all one of '{silent[0]}'. Give captions "
            "to `latentfoley data prepare`, or train with 'audio' or 'mixed'"
        )
