"""A place is written and read the same way wherever it is, and its name holds no secret."""

import pytest

from latentfoley.errors import InputError
from latentfoley.places import Place, local_file


@pytest.fixture(params=["memory", "local", "file"])
def place(request, tmp_path):
    """An empty place."""
    prefix = {"memory": "memory://", "local": "", "file": "file://"}[request.param]
    return Place.of(f"{prefix}{tmp_path}/place")


def test_what_is_written_is_read(place):
    assert place.read("a/b.bin") is None
    assert not place.has("a/b.bin")
    place.write("a/b.bin", b"1")
    place.write("a/b.bin", b"2")
    assert place.read("a/b.bin") == b"2"
    assert place.has("a/b.bin")
    assert place.names() == ["a"]


def test_a_place_that_is_not_there_is_empty(place):
    assert place.names() == []


@pytest.mark.parametrize(
    "name", ["s3://key:secret@bucket/a", "ftp://me@host/a", "https://host/a?token=secret"]
)
def test_credentials_are_refused_and_not_repeated(name):
    with pytest.raises(InputError, match="credentials") as refused:
        Place.of(name)
    assert "secret" not in str(refused.value)


def test_an_unknown_protocol_is_answered_with_the_nearest():
    with pytest.raises(
        InputError, match=r"no file system is called 'memry'.*Did you mean 'memory'"
    ):
        Place.of("memry://a")


def test_a_remote_file_is_copied_under_its_own_name_and_removed(tmp_path):
    Place.of("memory://sounds").write("a.wav", b"sound")
    with local_file("memory://sounds/a.wav", tmp_path) as path:
        assert (path.name, path.read_bytes()) == ("a.wav", b"sound")
    assert not path.exists()


def test_a_remote_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match=r"'memory://sounds/no\.wav' cannot be read"):  # noqa: SIM117
        with local_file("memory://sounds/no.wav", tmp_path):
            pass


def test_a_local_file_is_where_it_is(tmp_path):
    with local_file("a.wav", tmp_path) as path:
        assert path == tmp_path / "a.wav"
