"""The loss of a denoiser by timestep, on windows that it was not trained on.

The loss of a training batch mostly depends on the n that were drawn. Here windows, noise and
timesteps are the same every time, so that two values differ by the weights alone.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from latentfoley.data.latents import LatentCache
from latentfoley.data.recordings import generator
from latentfoley.diffusion import Schedule
from latentfoley.training.batches import Batch

N_TIMESTEPS = 10
_MOST_WINDOWS = 64
_NOISE_STREAM = 2400  # any number that no step of training has


class Validation:
    """Windows that are not trained on, with noise that stays the same."""

    def __init__(
        self, cache: LatentCache, batch_size: int, scaling_factor: float, schedule: Schedule
    ) -> None:
        count = min(_MOST_WINDOWS, len(cache))
        self.cache, self.scaling_factor, self.batch_size = cache, scaling_factor, batch_size
        self.items = np.linspace(0, len(cache) - 1, count).round().astype(int).tolist()
        # The middles of ten equal parts of 0 … N - 1.
        n_train_steps = schedule.n_train_steps
        self.timesteps = [
            (2 * k + 1) * n_train_steps // (2 * N_TIMESTEPS) for k in range(N_TIMESTEPS)
        ]

    @torch.no_grad()
    def losses(self, loss: Callable[[Batch], Tensor]) -> dict[str, float]:
        """Return the mean loss at each timestep, and the mean of those as `validation_loss`.

        Args:
            loss: the unweighted loss of each clip of a batch.
        """
        at_timestep = {
            f"validation_loss_n{n:03d}": torch.cat(
                [loss(batch) for batch in self._batches(n)]
            ).mean()
            for n in self.timesteps
        }
        values = {name: value.item() for name, value in at_timestep.items()}
        return {"validation_loss": sum(values.values()) / len(values)} | values

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
