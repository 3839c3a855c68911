"""How well a denoiser does at each noise level, on what it was not trained on.

The loss of a training batch says little: it is mostly a matter of which n were drawn. Here windows,
noise and levels are the same every time, so that two figures differ by the weights alone.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from latentfoley.data.latents import LatentCache
from latentfoley.data.recordings import generator
from latentfoley.diffusion import Schedule
from latentfoley.training.batches import Batch

N_LEVELS = 10
_MOST_WINDOWS = 64
_NOISE_STREAM = 2400  # any number that no step of training has


class HeldOut:
    """Windows that are not trained on, with noise that stays the same."""

    def __init__(
        self, cache: LatentCache, batch_size: int, scaling_factor: float, schedule: Schedule
    ) -> None:
        count = min(_MOST_WINDOWS, len(cache))
        self.cache, self.scaling_factor, self.batch_size = cache, scaling_factor, batch_size
        self.items = np.linspace(0, len(cache) - 1, count).round().astype(int).tolist()
        # The middles of ten equal stretches of 0 … N - 1.
        n_train_steps = schedule.n_train_steps
        self.levels = [(2 * k + 1) * n_train_steps // (2 * N_LEVELS) for k in range(N_LEVELS)]

    @torch.no_grad()
    def losses(self, loss: Callable[[Batch], Tensor]) -> dict[str, float]:
        """Return the mean loss at each level, and the mean of those as `valid_loss`.

        Args:
            loss: the unweighted loss of each clip of a batch.
        """
        at_level = {
            f"valid_loss_n{n:03d}": torch.cat([loss(batch) for batch in self._batches(n)]).mean()
            for n in self.levels
        }
        values = {name: value.item() for name, value in at_level.items()}
        return {"valid_loss": sum(values.values()) / len(values)} | values

    def _batches(self, n: int) -> list[Batch]:
        rng = generator(_NOISE_STREAM, n)
        batches = []
        for first in range(0, len(self.items), self.batch_size):
            fields = self.cache.batch(self.items[first : first + self.batch_size], ("mean", "E"))
            z_0 = self.scaling_factor * fields["mean"].float()
            eps = torch.from_numpy(rng.standard_normal(z_0.shape, dtype=np.float32))
            batches.append(Batch(z_0, fields["E"].float(), torch.full((len(z_0),), n), eps))
        return batches


def by_third(per_clip: Tensor, n: Tensor, n_train_steps: int) -> dict[str, float]:
    """Return the mean loss of the clips of a batch in each third of the noise levels."""
    names = ("loss_low_noise", "loss_middle_noise", "loss_high_noise")
    third = 3 * n // n_train_steps
    parts = [per_clip[third == k] for k in range(3)]
    return {name: part.mean().item() for name, part in zip(names, parts, strict=True) if len(part)}
