"""Features of a set: rows per clip or pooled, one pass for all extractors, each text once."""

import dataclasses

import numpy as np
import pytest
import soundfile

from latentfoley.errors import AudioFileError, InputError
from latentfoley.evaluation.embedders import Features
from latentfoley.evaluation.features import extract
from latentfoley.evaluation.features.cache import Cache
from latentfoley.evaluation.features.extract import (
    embed_texts,
    extract_all,
    extract_features,
    extract_levels,
)
from latentfoley.evaluation.features.extractors import FeatureExtractor, FeatureSet
from latentfoley.evaluation.features.preprocess import AudioPreprocessing
from latentfoley.evaluation.sets.choose import as_set
from signals import noise

NO_CACHE = Cache(None)
HALF_RATE = AudioPreprocessing(sample_rate=8_000, min_samples=512)


@pytest.fixture
def extractor(bands):
    return FeatureExtractor("bands", bands(), bands.preprocessing)


def test_windows_are_pooled_or_averaged():
    windows = [np.array([[0.0], [2.0]]), np.array([[5.0]])]
    features = FeatureSet(windows, None, pooled=True)
    assert features.rows.tolist() == [[0.0], [2.0], [5.0]]
    assert features.per_clip.tolist() == [[1.0], [5.0]]
    assert features.owners.tolist() == [0, 0, 1]
    assert dataclasses.replace(features, pooled=False).rows.tolist() == [[1.0], [5.0]]


def test_a_clip_has_the_same_features_alone_and_in_a_set(sets, extractor):
    clips = as_set(sets[0])
    together = extract_features(clips, extractor, NO_CACHE)
    some = dataclasses.replace(clips, clips=clips.clips[3:5])
    alone = extract_features(some, extractor, NO_CACHE)
    assert np.array_equal(together.rows[3:5], alone.rows)
    assert np.array_equal(together.logits[3:5], alone.logits)


@pytest.mark.parametrize("windows", [np.zeros((0, 4)), np.full((1, 4), np.nan)])
def test_features_that_are_not_finite_are_refused(sets, bands, extractor, windows, monkeypatch):
    monkeypatch.setattr(
        bands, "embed", lambda self, waveforms: [Features(windows)] * len(waveforms)
    )
    with pytest.raises(InputError, match="no finite features"):
        extract_features(as_set(sets[0]), extractor, NO_CACHE)


class TestOnePass:
    """A file is decoded once for all extractors, and never for what is cached."""

    @pytest.fixture
    def decoded(self, monkeypatch):
        """The files that were decoded, as they come."""
        paths, read_audio = [], extract.read_audio

        def counted(path, **how):
            paths.append(path)
            return read_audio(path, **how)

        monkeypatch.setattr(extract, "read_audio", counted)
        return paths

    def test_all_at_once_is_what_each_gives_alone(self, sets, bands, extractor, decoded):
        clips, half = as_set(sets[0]), FeatureExtractor("bands", bands(), HALF_RATE)
        levels, of_both = extract_all(clips, [extractor, half], NO_CACHE)
        assert sorted(decoded) == [clip.path for clip in clips.clips]
        assert levels == extract_levels(clips, NO_CACHE)
        for together, one in zip(of_both, (extractor, half), strict=True):
            assert (together.rows == extract_features(clips, one, NO_CACHE).rows).all()
        assert (of_both[0].rows != of_both[1].rows).any()

    def test_only_what_is_new_is_decoded(self, sets, extractor, decoded, tmp_path):
        clips, cache = as_set(sets[0]), Cache(tmp_path / "cache")
        extract_all(clips, [extractor], cache)
        decoded.clear()
        extract_all(clips, [extractor], cache)
        assert decoded == []
        soundfile.write(clips.clips[3].path, noise(0.3, seed=77), 16_000)
        extract_all(clips, [extractor], cache)
        assert decoded == [clips.clips[3].path]

    def test_every_file_that_cannot_be_read_is_named(self, sets, extractor):
        clips = as_set(sets[0])
        clips.clips[2].path.unlink()
        clips.clips[9].path.write_bytes(b"RIFF")
        with pytest.raises(AudioFileError, match=r"(?s)02\.wav.*09\.wav"):
            extract_all(clips, [extractor], NO_CACHE)

    def test_a_file_that_is_gone_is_named(self, sets):
        clips = as_set(sets[0])
        clips.clips[2].path.unlink()
        with pytest.raises(AudioFileError, match=r"02\.wav"):
            extract_levels(clips, NO_CACHE)


TEXTS = ["a dog", "rain", "a dog", "thunder far away"]


class Counting:
    """Rows that say which text they are of; counts what it embeds."""

    name, weights_hash = "counting", "r" * 64

    def __init__(self):
        self.embedded = []

    def embed_texts(self, texts):
        self.embedded += texts
        return np.array([[len(text), ord(text[0])] for text in texts], dtype=np.float64)


def test_rows_are_in_order_and_each_text_is_embedded_once(tmp_path):
    embedder = Counting()
    rows = embed_texts(TEXTS, embedder, Cache(tmp_path))
    assert rows.tolist() == [[5, 97], [4, 114], [5, 97], [16, 116]]
    assert sorted(embedder.embedded) == sorted(set(TEXTS))


def test_what_was_embedded_is_cached_for_these_weights_alone(tmp_path):
    first = embed_texts(TEXTS, Counting(), Cache(tmp_path))
    again, other = Counting(), Counting()
    other.weights_hash = "s" * 64
    assert np.array_equal(embed_texts([*TEXTS, "wind"], again, Cache(tmp_path))[:4], first)
    assert again.embedded == ["wind"]
    embed_texts(TEXTS, other, Cache(tmp_path))
    assert len(other.embedded) == 3


def test_many_texts_are_embedded_in_batches():
    texts = [f"sound {k}" for k in range(150)]
    rows = embed_texts(texts, Counting(), Cache(None))
    assert rows[:, 0].tolist() == [len(text) for text in texts]
