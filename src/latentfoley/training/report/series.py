"""A number as it was logged, step by step, and what can be said of such a row of numbers."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

_SMOOTH_SHARE = 0.05  # of the points, in the window of the moving mean
_MOST_DRAWN = 1500  # points of a curve; a screen shows no more


@dataclass(frozen=True, eq=False)
class Series:
    """Values of one name, in the order of their steps."""

    name: str
    steps: Int64[np.ndarray, "N"]
    values: Float64[np.ndarray, "N"]

    def __len__(self) -> int:
        return len(self.values)

    @property
    def smoothed(self) -> Float64[np.ndarray, "N"]:
        """The mean of the points around each, twenty windows to a run; shorter at the ends."""
        half = int(len(self) * _SMOOTH_SHARE / 2)
        total = np.concatenate([[0.0], np.cumsum(self.values)])
        at = np.arange(len(self))
        low, high = np.maximum(at - half, 0), np.minimum(at + half + 1, len(self))
        return np.asarray((total[high] - total[low]) / (high - low))

    def finite(self) -> "Series":
        """Return the points that are numbers."""
        kept = np.isfinite(self.values)
        return Series(self.name, self.steps[kept], self.values[kept])

    def thinned(self) -> "Series":
        """Return every k-th point, so few that a page can hold them."""
        k = -(-len(self) // _MOST_DRAWN) or 1
        return Series(self.name, self.steps[::k], self.values[::k])

    def parts(self, count: int) -> Float64[np.ndarray, "K"]:
        """Return the medians of `count` stretches of equally many points."""
        return np.array([np.median(part) for part in np.array_split(self.values, count)])

    def last(self, share: float) -> "Series":
        """Return the last `share` of the points."""
        first = len(self) - max(1, round(share * len(self)))
        return Series(self.name, self.steps[first:], self.values[first:])

    def trend(self) -> tuple[float, float]:
        """Return by what share of their mean the values change from first to last, and its error.

        The change is that of the least-squares line, the error its standard error.
        """
        t = self.steps - self.steps.mean()
        span = float(self.steps[-1] - self.steps[0])
        slope = float(t @ self.values / (t @ t))
        residuals = self.values - self.values.mean() - slope * t
        error = float(np.sqrt(residuals @ residuals / (len(self) - 2) / (t @ t)))
        mean = abs(float(self.values.mean())) or 1.0
        return slope * span / mean, error * span / mean
