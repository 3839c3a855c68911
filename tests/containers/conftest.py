"""What tests of files share."""

import pytest
import soundfile


@pytest.fixture
def save(tmp_path):
    """Write samples with soundfile; return the path."""

    def save(samples, name="in.wav", sample_rate=16_000, subtype=None, **kwargs):
        path = tmp_path / name
        soundfile.write(path, samples, sample_rate, subtype=subtype, **kwargs)
        return path

    return save
