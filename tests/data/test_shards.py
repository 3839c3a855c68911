"""Shards: pairs in a tar that any tool reads, and what is said of those that are none."""

import io
import json
import tarfile
from hashlib import sha256

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from latentfoley.data.shards import Encoded, PreparedClip, read_shard, write_shard
from latentfoley.encoding import encode_audio
from latentfoley.errors import RecipeError
from latentfoley.places import Place
from signals import noise


def clip(key="00000000-a", **more):
    values = {"duration_s": 0.1, "original_sample_rate": 44_100, "original_channels": 2}
    return PreparedClip(
        key=key, path="a/é 雨.wav", shard="shard-000000.tar", digest="00", **values, **more
    )


def flac(waveform):
    return encode_audio(waveform, 16_000, suffix=".flac", provenance=None)


@pytest.fixture
def shard(tmp_path):
    """A shard of three clips, and what is in it."""
    clips = [clip(f"0000000{k}", captions=("rain",) * k) for k in range(3)]
    waveforms = [noise(0.1 + k / 10, seed=k) for k in range(3)]
    path = tmp_path / "shard-000000.tar"
    written = write_shard(Place.of(tmp_path), path.name, map(Encoded, clips, map(flac, waveforms)))
    data = path.read_bytes()
    assert written == (clips, len(data), sha256(data).hexdigest())
    return path, clips, waveforms


def test_what_is_written_is_read(shard):
    path, clips, waveforms = shard
    read = list(read_shard(path))
    assert [found for found, _ in read] == clips
    for (_, samples), waveform in zip(read, waveforms, strict=True):
        np.testing.assert_allclose(samples, waveform, atol=2**-16)


def test_it_is_pairs_of_a_sound_and_a_json(shard):
    """As WebDataset reads it: members in order, the key up to the first dot."""
    path, clips, waveforms = shard
    with tarfile.open(path) as tar:
        names = tar.getnames()
        sounds = [tar.extractfile(name).read() for name in names[::2]]
        records = [json.load(tar.extractfile(name)) for name in names[1::2]]
    assert names == [f"{c.key}.{kind}" for c in clips for kind in ("flac", "json")]
    for data, waveform in zip(sounds, waveforms, strict=True):
        samples, rate = soundfile.read(io.BytesIO(data), dtype="float32")
        assert (rate, len(samples)) == (16_000, len(waveform))
    assert records[2]["captions"] == ["rain", "rain"]
    assert (records[0]["path"], records[0]["split"]) == ("a/é 雨.wav", "train")


def test_the_bytes_depend_on_the_clips_alone(shard, tmp_path):
    path, clips, waveforms = shard
    write_shard(Place.of(tmp_path), "again.tar", map(Encoded, clips, map(flac, waveforms)))
    assert (tmp_path / "again.tar").read_bytes() == path.read_bytes()


def test_no_clips_no_file(shard):
    path, *_ = shard
    assert write_shard(Place.of(path.parent), path.name, []) == ([], 0, "")
    assert not path.exists()


def test_a_failure_leaves_the_old_one(shard):
    path, clips, waveforms = shard
    before = path.read_bytes()

    def fails():
        yield Encoded(clips[0], flac(waveforms[0]))
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        write_shard(Place.of(path.parent), path.name, fails())
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]


@settings(max_examples=40, deadline=None)
@given(cut=st.integers(0, 30_000), flip=st.integers(0, 30_000))
def test_damage_is_never_a_crash(tmp_path_factory, cut, flip):
    """Whatever is cut off or changed: the clips before it, then our error or none."""
    path = tmp_path_factory.getbasetemp() / "damaged.tar"
    clips = [Encoded(clip(f"{k}"), flac(noise(0.3, seed=k))) for k in range(2)]
    write_shard(Place.of(path.parent), path.name, clips)
    data = bytearray(path.read_bytes())
    data[flip % len(data)] ^= 0x41
    path.write_bytes(bytes(data[: max(1, len(data) - cut)]))
    try:
        for _, samples in read_shard(path):
            assert np.isfinite(samples).all()
    except RecipeError as error:
        assert str(path) in str(error)


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ({"a.flac": b"", "b.json": b"{}"}, "'a.json' is expected after 'a.flac', found 'b.json'"),
        ({"a.flac": b""}, "'a.json' is expected after 'a.flac', found nothing"),
        ({"a.wav": b"", "a.json": b"{}"}, "'a.wav.json' is expected after 'a.wav'"),
        ({"a.flac": b"", "a.json": b"{"}, "a.json is not JSON"),
        ({"a.flac": b"", "a.json": b"{}"}, "a.json: path: Field required"),
        ({"a.flac": b"x", "a.json": clip().model_dump_json().encode()}, "cannot be decoded"),
    ],
)
def test_what_is_no_pair_is_named(tmp_path, members, says):
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    with pytest.raises(RecipeError, match=says):
        list(read_shard(tmp_path / "a.tar"))


def test_two_clips_of_one_name(tmp_path):
    write_shard(Place.of(tmp_path), "a.tar", [Encoded(clip(), flac(noise())) for _ in range(2)])
    with pytest.raises(RecipeError, match="holds two clips called '00000000-a'"):
        list(read_shard(tmp_path / "a.tar"))


def test_no_tar(tmp_path):
    (tmp_path / "a.tar").write_text("hello")
    with pytest.raises(RecipeError, match="is damaged or no tar shard"):
        list(read_shard(tmp_path / "a.tar"))
