"""Opening files: what is refused, and whether the reason helps."""

import os
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from latentfoley.audio import read_audio, write_audio
from latentfoley.containers import open_recording, read_comment
from latentfoley.errors import AudioFileError
from signals import chirp, noise, tone

FORMATS = [
    ("a.wav", "PCM_16"),
    ("a.wav", "FLOAT"),
    ("a.aiff", "PCM_24"),
    ("a.flac", "PCM_16"),
    ("a.ogg", "VORBIS"),
    ("a.ogg", "OPUS"),
    ("a.mp3", "MPEG_LAYER_III"),
]


def refusal(path):
    with pytest.raises(AudioFileError) as caught, open_recording(path):
        pass
    assert str(path) in str(caught.value)
    return str(caught.value)


class TestWhatIsNoFile:
    def test_a_missing_file_names_the_nearest(self, save):
        path = save(tone(), "dog_bark.wav")
        assert "Nearest there: dog_bark.wav." in refusal(path.with_name("dog_brk.wav"))

    def test_a_missing_file_without_a_similar_one(self, tmp_path):
        assert refusal(tmp_path / "a.wav").endswith("a.wav'.")

    def test_a_missing_folder_is_named(self, tmp_path):
        folder = tmp_path / "nowhere"
        assert f"The folder '{folder}' does not exist." in refusal(folder / "a.wav")

    def test_a_folder(self, tmp_path):
        assert "is a folder" in refusal(tmp_path)

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
    def test_a_pipe_does_not_make_it_wait(self, tmp_path):
        os.mkfifo(tmp_path / "pipe.wav")
        assert "a device or a pipe" in refusal(tmp_path / "pipe.wav")

    @pytest.mark.parametrize("name", ["a.wav", "a.mp3"])
    def test_an_empty_file(self, tmp_path, name):
        (tmp_path / name).touch()
        assert "is empty (0 bytes)" in refusal(tmp_path / name)

    def test_a_name_that_is_too_long(self, tmp_path):
        assert "cannot be opened" in refusal(tmp_path / ("a" * 300))


class TestWhatIsNoRecording:
    @pytest.mark.parametrize(
        "data",
        [
            b"hello world\n" * 100,
            b"RIFF\0\0\0\0AVI " + bytes(1000),
            b"\xff",
        ],
        ids=["text", "avi", "one byte"],
    )
    def test_other_contents_whatever_the_name(self, tmp_path, data):
        for name in ("a.wav", "a.mp3", "a.vox"):
            (tmp_path / name).write_bytes(data)
            assert "is not a recording that can be read here. Allowed:" in refusal(tmp_path / name)

    @pytest.mark.parametrize("head", [b"RIFF\0\0\0\0WAVE", b"fLaC", b"OggS", b"ID3", b"\xff\xfb"])
    def test_only_the_first_bytes_are_right(self, tmp_path, head):
        (tmp_path / "a").write_bytes(head + noise(0.1).tobytes())
        assert re.search("cannot be decoded|cut short", refusal(tmp_path / "a"))

    def test_a_recording_named_raw_is_read_by_its_contents(self, save, tmp_path):
        path = save(tone()).rename(tmp_path / "a.raw")
        assert len(read_audio(path).waveform) == 16_000

    @pytest.mark.parametrize(("name", "subtype"), [("a.wav", "G721_32"), ("a.aiff", "DWVW_16")])
    def test_rare_codecs(self, save, name, subtype):
        message = refusal(save(tone(), name, subtype=subtype))
        assert f"codec {subtype}, which is not read here. Allowed: WAV" in message

    @pytest.mark.parametrize("kind", ["VOC", "IRCAM"])
    def test_rare_containers(self, save, kind):
        assert "is not a recording that can be read" in refusal(save(tone(), format=kind))


class TestLyingHeaders:
    def test_a_sample_rate_of_two_gigahertz(self, save):
        path = save(tone())
        overwrite(path, 24, (2**31 - 1).to_bytes(4, "little"))
        assert "sample rate is 2147483647 Hz; allowed: 1000 to 768000 Hz" in refusal(path)

    def test_a_sample_rate_of_zero(self, save):
        path = save(tone())
        overwrite(path, 24, bytes(4))
        assert "cannot be decoded" in refusal(path)

    def test_a_thousand_channels(self, save):
        path = save(tone())
        overwrite(path, 22, (1024).to_bytes(2, "little"))
        assert "says it has 1024 channels; allowed: 1 to 64" in refusal(path)

    def test_a_wav_that_claims_more_than_is_there(self, save):
        path = save(tone(), subtype="PCM_16")
        overwrite(path, path.read_bytes().index(b"data") + 4, (10**6).to_bytes(4, "little"))
        assert "is cut short" in refusal(path)

    @pytest.mark.parametrize("length", [0xFFFF_FFFF, 0x7FFF_FFFF, 0x7FFF_F000])
    def test_a_wav_that_came_through_a_pipe_is_read(self, save, length):
        path = save(tone(), subtype="PCM_16")
        overwrite(path, path.read_bytes().index(b"data") + 4, length.to_bytes(4, "little"))
        assert len(read_audio(path).waveform) == 16_000

    def test_endless_chunks(self, tmp_path):
        path = tmp_path / "a.wav"
        path.write_bytes(b"RIFF\xff\xff\xff\x7fWAVE" + b"junk\0\0\0\0" * 50_000)
        assert "cannot be decoded" in refusal(path)


class TestCutShort:
    @pytest.mark.parametrize(("name", "subtype"), FORMATS)
    @pytest.mark.parametrize("part", [0.9, 0.5, 0.1, 0.001])
    def test_every_format_is_refused(self, save, name, subtype, part):
        path = save(noise(3.0), name, subtype=subtype)
        path.write_bytes(path.read_bytes()[: int(part * path.stat().st_size)])
        with pytest.raises(AudioFileError, match=r"cut short|damaged|is not a recording"):
            read_audio(path)

    @pytest.mark.parametrize(("name", "subtype"), FORMATS[:-1])
    def test_without_the_last_byte(self, save, name, subtype):
        path = save(noise(1.0), name, subtype=subtype)
        path.write_bytes(path.read_bytes()[:-1])
        with pytest.raises(AudioFileError, match=r"cut short|damaged"):
            read_audio(path)

    @pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
    def test_between_two_pages(self, save, subtype):
        path = save(noise(3.0), "a.ogg", subtype=subtype)
        path.write_bytes(path.read_bytes()[: path.read_bytes().rindex(b"OggS")])
        assert "is cut short" in refusal(path)

    def test_a_length_tag_that_counts_its_own_frame_is_no_cut(self, save):
        path = save(noise(1.0), "a.mp3")
        data = path.read_bytes()
        count = re.search(b"(?:Xing|Info)....", data, re.DOTALL).end()
        n_frames = int.from_bytes(data[count : count + 4], "big")
        overwrite(path, count, (n_frames + 1).to_bytes(4, "big"))
        assert 16_000 <= len(read_audio(path).waveform) <= 16_000 + 576

    @pytest.mark.parametrize(("name", "subtype"), FORMATS)
    def test_bytes_behind_the_end_do_no_harm(self, save, name, subtype):
        path = save(chirp(), name, subtype=subtype)
        path.write_bytes(path.read_bytes() + bytes(128))
        assert len(read_audio(path).waveform) == 16_000

    @settings(
        max_examples=40,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(data=st.data())
    def test_anywhere(self, save, data):
        name, subtype = data.draw(st.sampled_from(FORMATS[:-1]))
        path = save(chirp(duration_s=0.5), name, subtype=subtype)
        whole = path.read_bytes()
        path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
        with pytest.raises(AudioFileError):
            read_audio(path)


class TestComments:
    @pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3"])
    def test_none(self, tmp_path, name):
        write_audio(tmp_path / name, tone(), 16_000, provenance=None)
        assert read_comment(tmp_path / name) == ""

    @pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3"])
    @pytest.mark.parametrize("n_bytes", [1, 2046, 2047, 2048, 49_000])
    def test_of_any_length(self, tmp_path, name, n_bytes):
        write_audio(tmp_path / name, tone(), 16_000, provenance={"a": "b" * n_bytes})
        assert read_comment(tmp_path / name) == '{"a":"' + "b" * n_bytes + '"}'

    def test_of_a_wav_that_others_tagged_behind_the_sound(self, save):
        path = save(tone(), subtype="PCM_16")
        info = b"INFOIART\x03\0\0\0me\0\0ICMT\x04\0\0\0caf\xe9"
        tag = b"LIST" + len(info).to_bytes(4, "little") + info
        path.write_bytes(path.read_bytes() + tag)
        assert read_comment(path) == "caf\N{REPLACEMENT CHARACTER}"

    def test_of_what_is_no_recording(self, tmp_path):
        with pytest.raises(AudioFileError, match="there is no file"):
            read_comment(tmp_path / "a.wav")


class TestNames:
    def test_control_characters_are_written_out(self, tmp_path):
        path = tmp_path / "a\x1b[2J\r\n.wav"
        path.write_bytes(b"no sound")
        with pytest.raises(AudioFileError) as caught:
            read_audio(path)
        assert str(caught.value).isprintable()
        assert r"a\x1b[2J\r\n.wav" in str(caught.value)

    def test_of_the_nearest_file_too(self, tmp_path):
        (tmp_path / "dog_bark\x07.wav").touch()
        assert refusal(tmp_path / "dog_bark.wav").isprintable()

    @pytest.mark.skipif(os.name == "nt", reason="names are text there")
    def test_bytes_that_are_no_text(self, save, tmp_path):
        path = save(tone()).rename(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.wav"))
        assert len(read_audio(path).waveform) == 16_000


def overwrite(path, position, new):
    data = bytearray(path.read_bytes())
    data[position : position + len(new)] = new
    path.write_bytes(data)
