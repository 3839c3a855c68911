"""Ogg: every recording in a chain is played, and no damage is a crash."""

import numpy as np
import pytest

from latentfoley.audio import read_audio
from latentfoley.errors import AudioFileError
from signals import chirp, noise

SUBTYPES = pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])


@SUBTYPES
class TestChains:
    def test_of_two_recordings(self, save, tmp_path, subtype):
        one = save(chirp(), "a.ogg", subtype=subtype)
        other = save(noise(2.0), "b.ogg", subtype=subtype)
        (tmp_path / "c.ogg").write_bytes(one.read_bytes() + other.read_bytes())
        parts = [read_audio(path).waveform for path in (one, other)]
        np.testing.assert_array_equal(
            read_audio(tmp_path / "c.ogg").waveform, np.concatenate(parts)
        )

    def test_a_part_of_the_second(self, save, tmp_path, subtype):
        data = save(noise(1.0), "a.ogg", subtype=subtype).read_bytes()
        (tmp_path / "c.ogg").write_bytes(2 * data)
        part = read_audio(tmp_path / "c.ogg", start_s=1.25, duration_s=0.5).waveform
        np.testing.assert_array_equal(part, read_audio(tmp_path / "a.ogg").waveform[4000:12_000])

    def test_whose_first_is_cut(self, save, tmp_path, subtype):
        data = save(noise(3.0), "a.ogg", subtype=subtype).read_bytes()
        (tmp_path / "c.ogg").write_bytes(data[: data.rindex(b"OggS")] + data)
        with pytest.raises(AudioFileError, match="cut short"):
            read_audio(tmp_path / "c.ogg")

    def test_of_different_channels(self, save, tmp_path, subtype):
        one = save(chirp(), "a.ogg", subtype=subtype)
        other = save(np.stack([noise(), noise()], axis=1), "b.ogg", subtype=subtype)
        (tmp_path / "c.ogg").write_bytes(one.read_bytes() + other.read_bytes())
        with pytest.raises(AudioFileError, match="joined from recordings that differ"):
            read_audio(tmp_path / "c.ogg")


@SUBTYPES
def test_a_damaged_page_is_said(save, subtype):
    path = save(noise(3.0), "a.ogg", subtype=subtype)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(AudioFileError, match=r"damaged|cut short"):
        read_audio(path)


def test_it_never_seeks(save, monkeypatch):
    path = save(noise(2.0), "a.ogg", subtype="VORBIS")
    whole = read_audio(path).waveform
    monkeypatch.setattr("soundfile.SoundFile.seek", lambda *_: pytest.fail("it seeks"))
    np.testing.assert_array_equal(read_audio(path, start_s=1.0).waveform, whole[16_000:])
