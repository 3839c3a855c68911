"""Variations of recordings: what they mix, and what they are called."""

import numpy as np
import pytest

from latentfoley.data.augment import draw_example, mix, shift
from latentfoley.data.recordings import Clip, generator
from signals import chirp, noise, tone

CLIPS = [
    Clip(tone(), ("a tone", "a beep"), ("tone",), "tone.wav"),
    Clip(chirp(), ("a chirp",), ("chirp",), "chirp.wav"),
    Clip(noise(), ("noise",), (), "noise.wav"),
]


def draw(seed, probability, clips=CLIPS):
    return draw_example(clips, 1600, probability, generator(seed, 0))


def test_a_mix_is_a_share_of_each():
    mixed = mix(tone(), noise(), generator(0, 0)).astype(np.float64)
    parts = np.stack([tone(), noise(), np.ones(16_000)], axis=1).astype(np.float64)
    shares, *_ = np.linalg.lstsq(parts, mixed, rcond=None)
    np.testing.assert_allclose(parts @ shares, mixed, atol=1e-5)
    assert shares[:2].min() > 0
    assert np.abs(mixed).max() == pytest.approx(0.5, rel=1e-4)


def test_a_sound_that_ends_in_silence_comes_later():
    sound = np.concatenate([tone(duration_s=0.1), np.zeros(8_000, np.float32)])
    shifted = [shift(sound, 8_000, generator(seed, 0)) for seed in range(50)]
    starts = [int(np.flatnonzero(x)[0] - np.flatnonzero(sound)[0]) for x in shifted]
    assert 0 <= min(starts) < 500 and 7_500 < max(starts) <= 8_000
    for start, x in zip(starts, shifted, strict=True):
        np.testing.assert_array_equal(x[start : start + 1_600], sound[:1_600])
        assert np.count_nonzero(x) == np.count_nonzero(sound)


@pytest.mark.parametrize("n_most", [0, 1_000])
def test_a_sound_that_goes_on_stays_where_it_is(n_most):
    for seed in range(10):
        np.testing.assert_array_equal(shift(tone(), n_most, generator(seed, 0)), tone())


def test_shares_are_drawn_about_the_middle():
    silence = np.zeros(4, np.float32)
    # Half of one sample each: the quotient tells λ.
    one, other = silence.copy(), silence.copy()
    one[0], other[1] = 1, 1
    mixes = [mix(one, other, generator(seed, 0)).astype(np.float64) for seed in range(200)]
    shares = [(m[0] - m[2]) / (m[0] + m[1] - 2 * m[2]) for m in mixes]
    assert np.mean(shares) == pytest.approx(0.5, abs=0.04)
    assert np.std(shares) == pytest.approx(0.15, abs=0.03)  # of Beta(5, 5)


def test_without_mixing_there_is_one_recording():
    for seed in range(20):
        example = draw(seed, 0.0)
        assert example.waveform.shape == (1600,)
        (clip,) = [clip for clip in CLIPS if example.labels <= {*clip.labels, clip.path}]
        assert example.caption in clip.captions


def test_a_mix_joins_captions_and_labels():
    examples = [draw(seed, 1.0, CLIPS[:2]) for seed in range(30)]
    mixed = [example for example in examples if len(example.labels) == 2]
    assert mixed
    for example in mixed:
        assert example.labels == {"tone", "chirp"}
        assert "a chirp" in example.caption
        assert "a tone" in example.caption or "a beep" in example.caption


def test_two_of_a_kind_are_not_mixed():
    examples = [draw(seed, 1.0, CLIPS[:1]) for seed in range(10)]
    assert all(example.caption in CLIPS[0].captions for example in examples)


def test_recordings_without_labels_are_told_apart():
    unlabelled = [Clip(noise(seed=s), (f"noise {s}",), (), f"{s}.wav") for s in range(3)]
    labels = {draw(seed, 0.0, unlabelled).labels for seed in range(30)}
    assert labels == {frozenset({f"{s}.wav"}) for s in range(3)}


def test_the_same_generator_draws_the_same():
    first, second = draw(5, 0.5), draw(5, 0.5)
    np.testing.assert_array_equal(first.waveform, second.waveform)
    assert (first.caption, first.labels) == (second.caption, second.labels)
