"""More windows than those that follow on each other: how many, of what, and from what alone."""

import numpy as np
import pytest

from folders import sound, write
from latentfoley.data.encoder import Encoder, Source
from latentfoley.data.latents import LatentCache
from latentfoley.data.prepare import prepare
from latentfoley.data.shards import read_shard
from latentfoley.data.variations import Augmentation, ShardWindows
from latentfoley.errors import InputError, RecipeError
from latents import encode
from signals import chirp, noise, tone

WINDOW_S = 0.4


@pytest.fixture(scope="module")
def encoder(micro_model_folder):
    return Encoder.load(Source(str(micro_model_folder), WINDOW_S, "cpu"))


@pytest.fixture(scope="module")
def shard(tmp_path_factory):
    """One shard: a short clip, a long one, one with captions, and one held out."""
    folder, out = tmp_path_factory.mktemp("recordings"), tmp_path_factory.mktemp("shards")
    sound(folder / "short.wav", tone(duration_s=0.1))
    sound(folder / "long.wav", chirp(duration_s=1.2))
    sound(folder / "said.wav", noise(0.4))
    sound(folder / "kept.wav", noise(0.4, seed=2))
    write(folder / "said.txt", "rain\nwater")
    write(folder / "long.txt", "a siren")
    write(folder / "kept.json", '{"split": "valid"}')
    prepare(folder, out, workers=1, held_out=0.0)
    (shard,) = out.glob("*.tar")
    return shard


def windows_of(shard, encoder, **changes):
    return list(ShardWindows(encoder, Augmentation(**changes)).windows(shard))


def counts(windows):
    names = [clip.path for clip, _ in windows]
    return {name: names.count(name) for name in sorted(set(names))}


def test_by_default_they_are_the_windows_that_follow_on_each_other(shard, encoder):
    expected = [w for _, waveform in read_shard(shard) for w in encoder.windows(waveform)]
    made = [window for _, window in windows_of(shard, encoder)]
    for ours, theirs in zip(made, expected, strict=True):
        assert ours.start_s == theirs.start_s
        np.testing.assert_array_equal(ours.waveform, theirs.waveform)


def test_variations_multiply_what_is_trained_on(shard, encoder):
    once, thrice = windows_of(shard, encoder), windows_of(shard, encoder, variations=3)
    assert counts(once) == {"kept.wav": 1, "long.wav": 3, "said.wav": 1, "short.wav": 1}
    assert counts(thrice) == {"kept.wav": 1, "long.wav": 9, "said.wav": 3, "short.wav": 3}


def test_a_variation_holds_the_sound_at_another_place(shard, encoder):
    places = {}
    for clip, window in windows_of(shard, encoder, variations=5):
        assert window.waveform.shape == (encoder.n_samples,)
        assert np.abs(window.waveform).max() == pytest.approx(0.5)
        if clip.path == "short.wav":
            audible = np.flatnonzero(np.abs(window.waveform) > 0.01)
            assert audible[-1] - audible[0] == pytest.approx(1600, abs=20)
            places[int(audible[0])] = window
    assert len(places) == 5


def test_mixes_are_a_share_of_what_is_trained_on(shard, encoder):
    plain, mixed = windows_of(shard, encoder), windows_of(shard, encoder, mixes=2.0)
    assert len(mixed) - len(plain) == 10  # two for each window but the one held out
    for clip, window in mixed[len(plain) :]:
        assert clip.split == "train" and "+" in clip.key and "kept" not in clip.key
        assert np.abs(window.waveform).max() == pytest.approx(0.5)


def test_a_mix_is_the_sum_of_its_two(shard, encoder):
    *windows, (clip, mixed) = windows_of(shard, encoder, mixes=0.2)
    first, second = clip.key.split("+")
    pairs = [
        (one.waveform, other.waveform)
        for a, one in windows
        for b, other in windows
        if (a.key, b.key) == (first, second)
    ]
    assert min(distance_to_span(mixed.waveform, *pair) for pair in pairs) < 1e-4


def distance_to_span(waveform, *others):
    """Return how far a waveform is from every sum of multiples of the others."""
    columns = np.stack(others, axis=1)
    best, *_ = np.linalg.lstsq(columns, waveform, rcond=None)
    return np.abs(columns @ best - waveform).max()


def test_a_mix_is_captioned_where_both_are(shard, encoder):
    said = {
        frozenset(clip.key.split("+")): clip.captions
        for clip, _ in windows_of(shard, encoder, mixes=8.0)
        if "+" in clip.key
    }
    keys = {clip.path: clip.key for clip, _ in windows_of(shard, encoder)}
    both = said[frozenset([keys["long.wav"], keys["said.wav"]])]
    assert both in {("a siren and rain",), ("rain and a siren",)}
    assert said[frozenset([keys["long.wav"], keys["short.wav"]])] == ()


def test_they_are_drawn_from_the_sound_alone(shard, encoder):
    first, second = (windows_of(shard, encoder, variations=3, mixes=1.0) for _ in range(2))
    for (a, one), (b, other) in zip(first, second, strict=True):
        assert a.key == b.key
        np.testing.assert_array_equal(one.waveform, other.waveform)


def test_a_shard_of_one_window_has_no_mixes(encoder, tmp_path):
    sound(tmp_path / "in/a.wav", noise(0.3))
    prepare(tmp_path / "in", tmp_path / "out", workers=1, held_out=0.0)
    (alone,) = (tmp_path / "out").glob("*.tar")
    assert len(windows_of(alone, encoder, mixes=5.0)) == 1


def test_a_cache_with_others_is_refused(shard, micro_model_folder, tmp_path):
    options = {"model": str(micro_model_folder), "duration_s": WINDOW_S, "device": "cpu"}
    made = encode(shard.parent, tmp_path, **options, variations=2, mixes=0.5)
    assert (made.n_windows, made.n_held_out) == (1 + 10 + 5, 1)
    assert len(LatentCache(tmp_path, "train")) == 15
    with pytest.raises(InputError, match="with other settings: variations was 2, now 1"):
        encode(shard.parent, tmp_path, **options, mixes=0.5)
    with pytest.raises(RecipeError, match=r"data encode: variations: .*greater than or equal to 1"):
        encode(shard.parent, tmp_path / "new", **options, variations=0)
