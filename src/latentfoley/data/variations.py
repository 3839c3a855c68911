"""Which windows of a shard are encoded: consecutive ones, variations and mixes.

A variation is another crop of the same clip, or the same short sound at another place. A mix is
the sum of two recordings; it is made before encoding, because its E is that of the mixed sound.
Held-out clips are neither varied nor mixed.
"""

from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

import numpy as np
from pydantic import Field

from latentfoley.audio import is_silent
from latentfoley.config import Config
from latentfoley.data.augment import mix, shift
from latentfoley.data.encoder import Encoder, Samples, Window
from latentfoley.data.recordings import cut, draw_start, generator
from latentfoley.data.shards import PreparedClip, read_shard

_SHIFT_S = 1.0  # most that a variation which ends in silence begins later
_RESERVOIR = 256  # windows of a shard that mixes are drawn from: 84 MB at 5.12 s
_VARIATIONS, _MIXES = 2200, 2300  # streams of randomness; any numbers


class Augmentation(Config):
    """What is encoded beside the consecutive windows.

    Attributes:
        variations: windows for each one that is trained on; the first is the window itself.
        mixes: mixes of two recordings of one shard, as a share of the windows trained on.
    """

    variations: int = Field(default=1, ge=1, le=100)
    mixes: float = Field(default=0.0, ge=0.0, le=10.0)


class ShardWindows:
    """The windows of one shard; counts clips and silent windows while it yields them."""

    def __init__(self, encoder: Encoder, augmentation: Augmentation) -> None:
        self.encoder, self.augmentation = encoder, augmentation
        self.n_clips = self.n_silent = 0

    def windows(self, shard: Path) -> Iterator[tuple[PreparedClip, Window]]:
        """Yield every window with the clip it comes from, the mixes last."""
        reservoir = _Reservoir(generator(_MIXES, crc32(shard.name.encode())))
        for clip, waveform in read_shard(shard):
            audible = list(self.encoder.windows(waveform))
            self.n_clips += 1
            self.n_silent += max(1, -(-len(waveform) // self.encoder.n_samples)) - len(audible)
            trained = clip.split == "train"
            if trained:
                audible += self._variations(clip, waveform, len(audible))
            for window in audible:
                if trained and self.augmentation.mixes:
                    reservoir.add(clip, window)
                yield clip, window
        yield from reservoir.mixes(round(self.augmentation.mixes * reservoir.n_seen))

    def _variations(self, clip: PreparedClip, waveform: Samples, n_windows: int) -> list[Window]:
        """Return further windows of a clip, drawn from its sound alone."""
        rng = generator(_VARIATIONS, crc32(clip.digest.encode()))
        rate, n_samples = self.encoder.mel.sample_rate, self.encoder.n_samples
        drawn = []
        for _ in range(n_windows * (self.augmentation.variations - 1)):
            start = draw_start(waveform, n_samples, rng)
            window = shift(cut(waveform, start, n_samples), round(_SHIFT_S * rate), rng)
            if not is_silent(waveform[max(0, start) : start + n_samples]):
                drawn.append(Window(start / rate, window))
        return drawn


class _Reservoir:
    """A uniform sample of bounded size of all windows so far, and mixes of them."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng, self.n_seen = rng, 0
        self.kept: list[tuple[PreparedClip, Window]] = []

    def add(self, clip: PreparedClip, window: Window) -> None:
        """Keep a window with the same chance as every other one [Vitter 1985, algorithm R]."""
        self.n_seen += 1
        if len(self.kept) < _RESERVOIR:
            self.kept.append((clip, window))
            return
        place = int(self.rng.integers(0, self.n_seen))
        if place < _RESERVOIR:
            self.kept[place] = (clip, window)

    def mixes(self, n: int) -> Iterator[tuple[PreparedClip, Window]]:
        """Yield `n` mixes; the caption of one joins those of its two clips, if both have some."""
        for _ in range(n if len(self.kept) > 1 else 0):
            (a, one), (b, other) = (
                self.kept[i] for i in self.rng.choice(len(self.kept), 2, replace=False)
            )
            both = zip(a.captions, b.captions, strict=False)
            said = {"key": f"{a.key}+{b.key}", "captions": tuple(f"{x} and {y}" for x, y in both)}
            mixed = mix(one.waveform, other.waveform, self.rng)
            yield a.model_copy(update=said), Window(one.start_s, mixed)
