"""WAV and AIFF: a length field is compared with the bytes."""

import numpy as np
import pytest

from latentfoley.audio import read_audio
from latentfoley.errors import AudioFileError, RecordingWarning
from signals import noise, tone


@pytest.fixture
def wav(save):
    return save(noise(), subtype="PCM_16")


def claim(path, n_bytes):
    """Let the chunk with the samples say another length."""
    data = path.read_bytes()
    place = data.index(b"data") + 4
    path.write_bytes(data[:place] + n_bytes.to_bytes(4, "little") + data[place + 4 :])


class TestLengths:
    @pytest.mark.parametrize("n_bytes", [0, 32_008, 32_036])
    def test_that_are_wrong_while_the_file_is_whole(self, wav, n_bytes):
        whole = read_audio(wav).waveform
        claim(wav, n_bytes)
        with pytest.warns(RecordingWarning, match="all 32,000 that are there are read"):
            waveform = read_audio(wav).waveform
        np.testing.assert_array_equal(waveform, whole)

    def test_that_count_what_was_cut_off(self, wav):
        wav.write_bytes(wav.read_bytes()[:-8])
        with pytest.raises(AudioFileError, match="cut short"):
            read_audio(wav)

    def test_that_are_too_small_are_said(self, wav):
        claim(wav, 16_000)
        with pytest.warns(RecordingWarning, match="16,000 bytes before the file does"):
            assert len(read_audio(wav).waveform) == 8_000

    def test_of_nothing(self, save):
        with pytest.raises(AudioFileError, match="holds no samples"):
            read_audio(save(np.zeros(0), subtype="PCM_16"))


class TestBehindTheSound:
    @pytest.mark.parametrize(
        "behind", [bytes(5000), b"LIST\x04\0\0\0INFO", b"id3 \x03\0\0\0abc\0" * 500, b"note" * 9]
    )
    def test_chunks_zeros_and_notes_go_without_a_word(self, wav, behind):
        wav.write_bytes(wav.read_bytes() + behind)
        assert len(read_audio(wav).waveform) == 16_000

    @pytest.mark.parametrize("name", ["a.wav", "a.aiff"])
    def test_another_recording_is_read(self, save, name):
        path = save(tone(), name, subtype="PCM_16")
        once = read_audio(path).waveform
        path.write_bytes(3 * path.read_bytes())
        np.testing.assert_array_equal(read_audio(path).waveform, np.tile(once, 3))
