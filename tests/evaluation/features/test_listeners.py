"""One pass for everyone who listens: a file is decoded once, and never for what is known."""

import pytest
import soundfile

from latentfoley.errors import AudioFileError
from latentfoley.evaluation.features import listeners
from latentfoley.evaluation.features.cache import Cache
from latentfoley.evaluation.features.extract import hear, hear_all, hear_levels
from latentfoley.evaluation.features.preprocess import Reading
from latentfoley.evaluation.sets.clips import list_clips
from signals import noise

NO_CACHE = Cache(None)
OTHER = Reading(sample_rate=8_000, min_samples=512)


@pytest.fixture
def decoded(monkeypatch):
    """The files that were decoded, as they come."""
    paths, read_audio = [], listeners.read_audio

    def counted(path, **how):
        paths.append(path)
        return read_audio(path, **how)

    monkeypatch.setattr(listeners, "read_audio", counted)
    return paths


def test_all_at_once_hear_what_each_hears_alone(sets, bands, decoded):
    clips = list_clips(sets[0])
    levels, (full, half) = hear_all(
        sets[0], clips, [(bands(), bands.reading), (bands(), OTHER)], NO_CACHE
    )
    assert sorted(decoded) == [clip.path for clip in clips]
    assert levels == hear_levels(sets[0], clips, NO_CACHE)
    for together, reading in ((full, bands.reading), (half, OTHER)):
        alone = hear(sets[0], clips, bands(), reading, NO_CACHE)
        assert (together.rows == alone.rows).all()
    assert (full.rows != half.rows).any()


def test_only_what_is_new_is_decoded(sets, bands, decoded, tmp_path):
    clips, cache, ears = list_clips(sets[0]), Cache(tmp_path / "cache"), (bands(), bands.reading)
    hear_all(sets[0], clips, [ears], cache)
    decoded.clear()
    hear_all(sets[0], clips, [ears], cache)
    assert decoded == []
    soundfile.write(clips[3].path, noise(0.3, seed=77), 16_000)
    hear_all(sets[0], clips, [ears], cache)
    assert decoded == [clips[3].path]


def test_every_file_that_cannot_be_read_is_named(sets, bands):
    clips = list_clips(sets[0])
    clips[2].path.unlink()
    clips[9].path.write_bytes(b"RIFF")
    with pytest.raises(AudioFileError, match=r"(?s)02\.wav.*09\.wav"):
        hear_all(sets[0], clips, [(bands(), bands.reading)], NO_CACHE)
