"""MP3: every frame that is in a file is played, or it is said."""

import io

import numpy as np
import pytest
import soundfile

from latentfoley.audio import read_audio
from latentfoley.containers.mpeg import find_streams, length_tag, parse_frame
from latentfoley.errors import AudioFileError, RecordingWarning
from signals import noise

SECONDS, N = 3.0, 48_000
SWELLING = noise(SECONDS) * np.linspace(0.1, 1, N)
PADDING = 3 * 1152  # at most so much more is heard where no tag says what is padding
ID3 = b"ID3\x04\0\0\0\0\x02\0" + bytes(256)


def encode(mode, channels=1, rate=16_000):
    buffer = io.BytesIO()
    samples = np.repeat(SWELLING[:, None], channels, axis=1)
    soundfile.write(buffer, samples, rate, format="MP3", bitrate_mode=mode, compression_level=0.5)
    return buffer.getvalue()


CONSTANT, VARIABLE = encode("CONSTANT"), encode("VARIABLE")
MODES = pytest.mark.parametrize("data", [CONSTANT, VARIABLE], ids=["constant", "variable"])


def untagged(data):
    """Drop the first frame, which holds the length tag."""
    return data[parse_frame(data, 0).n_bytes :]


def with_count(data, n_frames):
    """Let the length tag say another number of frames, or none at all."""
    place = data.index(b"Xing" if b"Xing" in data else b"Info")
    if n_frames is None:
        flags = data[place + 4 : place + 8]
        return data[: place + 7] + bytes([flags[3] & 0xFE]) + data[place + 8 :]
    return data[: place + 8] + n_frames.to_bytes(4, "big") + data[place + 12 :]


@pytest.fixture
def read(tmp_path):
    def read(data, **kwargs):
        (tmp_path / "a.mp3").write_bytes(data)
        return read_audio(tmp_path / "a.mp3", **kwargs).waveform

    return read


@MODES
class TestAllIsRead:
    def test_two_recordings_that_were_joined(self, read, data):
        once, twice = read(data), read(data + data)
        np.testing.assert_array_equal(twice, np.concatenate([once, once]))

    def test_joined_and_each_with_its_names(self, read, data):
        assert len(read(ID3 + data + b"TAG" + bytes(125) + ID3 + data)) == 2 * N

    def test_joined_after_their_tags_were_lost(self, read, data):
        assert 0 <= len(read(untagged(data) * 2)) - 2 * N < 2 * PADDING

    def test_an_untagged_one_behind_a_tagged_one(self, read, data):
        assert 0 <= len(read(data + untagged(data))) - 2 * N < 2 * PADDING

    def test_without_a_length_tag(self, read, data):
        assert 0 <= len(read(untagged(data))) - N < PADDING

    def test_the_samples_without_a_tag_are_those_with_one(self, read, data):
        with_padding, once = read(untagged(data)), read(data)
        windows = np.lib.stride_tricks.sliding_window_view(with_padding, N)
        assert np.abs(windows[:, ::97] - once[::97]).max(axis=1).min() < 1e-4

    @pytest.mark.parametrize("n_frames", [None, 0, 1, 40])
    def test_a_tag_with_no_or_too_small_a_count(self, read, data, n_frames):
        assert 0 <= len(read(with_count(data, n_frames))) - N < PADDING

    @pytest.mark.parametrize("front", [ID3 + ID3, ID3 + bytes(700), bytes(512), ID3 * 5])
    def test_tags_and_zeros_in_front(self, read, data, front):
        np.testing.assert_array_equal(read(front + data), read(data))

    @pytest.mark.parametrize("behind", [bytes(20_000), b"TAG" + bytes(125)])
    def test_zeros_and_names_behind(self, read, data, behind):
        np.testing.assert_array_equal(read(data + behind), read(data))

    def test_a_fraunhofer_tag(self, read, data):
        first = parse_frame(data, 0)
        n_frames = find_streams(io.BytesIO(data), len(data))[0].n_frames
        tag = b"VBRI" + bytes(10) + n_frames.to_bytes(4, "big")
        frame = (data[:4] + bytes(32) + tag).ljust(first.n_bytes, b"\0")
        assert 0 <= len(read(frame + untagged(data))) - N < PADDING


@MODES
class TestItIsSaid:
    def test_where_the_tag_promises_more(self, read, data):
        with pytest.raises(AudioFileError, match="cut short"):
            read(data[: len(data) // 2])

    def test_where_the_last_frame_is_cut(self, read, data):
        with pytest.warns(RecordingWarning, match="cut short in its last frame"):
            assert len(read(untagged(data)[:-10])) >= N - PADDING

    def test_where_there_is_something_else_between(self, read, data):
        streams = find_streams(io.BytesIO(data), len(data))
        middle = streams[0].spans[0].end // 2
        with pytest.warns(RecordingWarning, match="bytes in it are no MP3"):
            read(data[:middle] + b"not sound" * 500 + data[middle:])

    def test_where_the_rates_of_parts_differ(self, read, data):
        with pytest.raises(AudioFileError, match="16000 Hz with 1 channels, then 24000 Hz with 1"):
            read(data + encode("CONSTANT", rate=24_000))

    def test_where_the_channels_of_parts_differ(self, read, data):
        with pytest.raises(AudioFileError, match="with 1 channels, then 16000 Hz with 2"):
            read(data + encode("CONSTANT", channels=2))


class TestLengthTags:
    @pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
    @pytest.mark.parametrize("channels", [1, 2])
    def test_what_is_written_is_read(self, rate, channels):
        data = encode("VARIABLE", channels, rate)
        first = find_streams(io.BytesIO(data), len(data))[0].first
        tagged = length_tag(first, 123) + untagged(data)
        stream = find_streams(io.BytesIO(tagged), len(tagged))[0]
        assert (stream.tag.n_frames, stream.first.header) == (123, first.header)

    def test_what_looks_like_a_frame_everywhere_takes_no_time(self):
        data = b"\xff\xfb\x90\0\x01" * 1_000_000
        assert find_streams(io.BytesIO(data), len(data)) == []
