"""FLAC: what the header says is compared with the last frame."""

import io

import numpy as np
import pytest

from latentfoley.audio import read_audio
from latentfoley.containers.flac import find_streams
from latentfoley.errors import AudioFileError
from signals import chirp, noise

ID3 = b"ID3\x04\0\0\0\0\x02\0" + bytes(256)


@pytest.fixture
def flac(save):
    return save(noise(3.0), "a.flac", subtype="PCM_16")


def claim(path, n_samples):
    """Overwrite the 36 bits of the header that say how many samples follow."""
    data = bytearray(path.read_bytes())
    field = int.from_bytes(data[18:26], "big") >> 36 << 36 | n_samples
    data[18:26] = field.to_bytes(8, "big")
    path.write_bytes(data)


class TestAllIsRead:
    @pytest.mark.parametrize("n_claimed", [0, 1, 16_000, 47_999])
    def test_where_the_header_promises_less(self, flac, n_claimed):
        whole = read_audio(flac).waveform
        claim(flac, n_claimed)
        np.testing.assert_array_equal(read_audio(flac).waveform, whole)

    def test_of_two_that_were_joined(self, flac):
        whole = read_audio(flac).waveform
        flac.write_bytes(2 * flac.read_bytes())
        np.testing.assert_array_equal(read_audio(flac).waveform, np.tile(whole, 2))

    @pytest.mark.parametrize("front", [ID3, 2 * ID3, ID3 + bytes(100)])
    def test_behind_id3_tags(self, flac, front):
        whole = read_audio(flac).waveform
        flac.write_bytes(front + flac.read_bytes())
        np.testing.assert_array_equal(read_audio(flac).waveform, whole)


class TestItIsSaid:
    @pytest.mark.parametrize("part", [0.3, 0.6, 0.9])
    def test_where_it_is_cut_behind_an_id3_tag(self, flac, part):
        data = ID3 + flac.read_bytes()
        flac.write_bytes(data[: int(part * len(data))])
        with pytest.raises(AudioFileError, match=r"cut short|damaged"):
            read_audio(flac)

    @pytest.mark.parametrize("part", [0.3, 0.6, 0.9])
    def test_where_it_is_cut_and_promises_nothing(self, flac, part):
        claim(flac, 0)
        data = flac.read_bytes()
        flac.write_bytes(data[: int(part * len(data))])
        with pytest.raises(AudioFileError, match=r"cut short|damaged"):
            read_audio(flac)


class TestLastFrame:
    @pytest.mark.parametrize("n_samples", [1, 100, 4096, 4097, 16_000, 700_000])
    @pytest.mark.parametrize("channels", [1, 2])
    @pytest.mark.parametrize(("rate", "subtype"), [(16_000, "PCM_16"), (44_100, "PCM_24")])
    def test_it_tells_the_length(self, save, n_samples, channels, rate, subtype):
        mono = np.resize(chirp(), n_samples)
        samples = np.stack([mono, noise(n_samples / 16_000)[:n_samples]][:channels], axis=1)
        data = save(samples, "a.flac", rate, subtype).read_bytes()
        (stream,) = find_streams(io.BytesIO(data), 0, len(data))
        assert (stream.n_promised, stream.n_there) == (n_samples, n_samples)
