"""Augmentations of recordings that keep what they are: crop, place in time, mixing."""

from dataclasses import dataclass, replace

import numpy as np

from latentfoley.audio import is_silent, normalise_peak
from latentfoley.data.recordings import Clip, Samples, crop

_JOINTS = ("{} with {}", "{} and {}", "{} while {}", "{}, {} in the background")


@dataclass(frozen=True)
class Example:
    """A crop of a recording, one of its captions, and its labels."""

    waveform: Samples
    caption: str
    labels: frozenset[str]


def mix(first: Samples, second: Samples, rng: np.random.Generator) -> Samples:
    """Return λ x₁ + (1 - λ) x₂ with λ ~ Beta(5, 5), as in AudioLDM's training, at peak 0.5."""
    share = rng.beta(5, 5)
    return normalise_peak(share * first + (1 - share) * second)


def shift(waveform: Samples, n_most: int, rng: np.random.Generator) -> Samples:
    """Return the sound up to `n_most` samples later, if that many at its end are silent.

    What leaves at the end comes back at the start, so only silence may leave.
    """
    n_later = int(rng.integers(0, n_most + 1))
    return np.roll(waveform, n_later) if is_silent(waveform[len(waveform) - n_most :]) else waveform


def draw_example(
    clips: list[Clip], n_samples: int, mix_probability: float, rng: np.random.Generator
) -> Example:
    """Return a random crop of a random recording, sometimes mixed with another one's.

    Every recording needs a caption. That of a mix joins the two ("rain with a dog barking"). A
    recording without labels has its own path as its label.
    """
    first = _single(clips, n_samples, rng)
    if rng.random() >= mix_probability:
        return first
    second = _single(clips, n_samples, rng)
    if first.labels == second.labels:
        return first
    return _mix(first, second, rng)


def draw_caption(clip: Clip, rng: np.random.Generator) -> Example:
    """Return a whole recording with one of its captions; see `draw_example`."""
    caption = clip.captions[int(rng.integers(len(clip.captions)))]
    return Example(clip.waveform, caption, frozenset(clip.labels or [clip.path]))


def _single(clips: list[Clip], n_samples: int, rng: np.random.Generator) -> Example:
    example = draw_caption(clips[int(rng.integers(len(clips)))], rng)
    return replace(example, waveform=crop(example.waveform, n_samples, rng))


def _mix(first: Example, second: Example, rng: np.random.Generator) -> Example:
    waveform = mix(first.waveform, second.waveform, rng)
    joint = _JOINTS[int(rng.integers(len(_JOINTS)))]
    caption = joint.format(first.caption, second.caption)
    return Example(waveform, caption, first.labels | second.labels)
