"""Hearing a set: rows per clip or pooled, and features that are none are refused."""

import dataclasses

import numpy as np
import pytest

from latentfoley.errors import AudioFileError, InputError
from latentfoley.evaluation.embedders import Features
from latentfoley.evaluation.features.cache import Cache
from latentfoley.evaluation.features.extract import Heard, hear, hear_levels
from latentfoley.evaluation.sets.clips import list_clips

NO_CACHE = Cache(None)


def test_windows_are_pooled_or_averaged():
    windows = [np.array([[0.0], [2.0]]), np.array([[5.0]])]
    heard = Heard(windows, None, pooled=True)
    assert heard.rows.tolist() == [[0.0], [2.0], [5.0]]
    assert heard.per_clip.tolist() == [[1.0], [5.0]]
    assert heard.owners.tolist() == [0, 0, 1]
    assert dataclasses.replace(heard, pooled=False).rows.tolist() == [[1.0], [5.0]]


def test_a_clip_is_heard_alike_alone_and_in_a_set(sets, bands):
    clips = list_clips(sets[0])
    together = hear(sets[0], clips, bands(), bands.reading, NO_CACHE)
    alone = hear(sets[0], clips[3:5], bands(), bands.reading, NO_CACHE)
    assert np.array_equal(together.rows[3:5], alone.rows)
    assert np.array_equal(together.logits[3:5], alone.logits)


@pytest.mark.parametrize("windows", [np.zeros((0, 4)), np.full((1, 4), np.nan)])
def test_features_that_are_none_are_refused(sets, bands, windows, monkeypatch):
    monkeypatch.setattr(
        bands, "embed", lambda self, waveforms: [Features(windows)] * len(waveforms)
    )
    with pytest.raises(InputError, match="no finite features"):
        hear(sets[0], list_clips(sets[0]), bands(), bands.reading, NO_CACHE)


def test_a_file_that_is_gone_is_named(sets):
    clips = list_clips(sets[0])
    clips[2].path.unlink()
    with pytest.raises(AudioFileError, match=r"02\.wav"):
        hear_levels(sets[0], clips, NO_CACHE)
