"""A place is written and read the same way wherever it is, and its name holds no secret."""

from hashlib import sha256

import pytest

from latentfoley.errors import AudioFileError, InputError
from latentfoley.places import Place, local_file, stored_name


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
    assert place.names("sub") == []
    assert (place.size("a"), place.state("a"), place.has("a")) == (0, (0, 0), False)
    place.remove("a")


def test_what_is_known_of_a_file(place):
    place.write("sub/a.bin", b"12345")
    assert place.size("sub/a.bin") == 5
    assert place.hash("sub/a.bin") == sha256(b"12345").hexdigest()
    assert place.names("sub") == ["a.bin"]
    assert place.entries() == [("sub", True)]
    assert place.where("sub/a.bin").endswith("/place/sub/a.bin")
    before = place.state("sub/a.bin")
    assert place.state("sub/a.bin") == before
    place.write("sub/a.bin", b"12346")
    assert place.state("sub/a.bin") != before
    place.remove("sub/a.bin")
    assert not place.has("sub/a.bin")


def test_a_folder_is_no_file(place):
    place.write("sub/a.bin", b"1")
    assert not place.has("sub")
    assert place.size("sub") == 0


def test_a_new_file_is_there_when_it_is_whole(place):
    with place.new("sub/a.bin") as part:
        part.write_bytes(b"1")
        assert not place.has("sub/a.bin")
    assert place.read("sub/a.bin") == b"1"
    with pytest.raises(OSError, match="no more"), place.new("sub/a.bin") as part:
        part.write_bytes(b"2")
        raise OSError("no more")
    assert place.read("sub/a.bin") == b"1"
    assert place.names("sub") == ["a.bin"]


def test_a_local_file_has_the_bytes_and_the_name(place):
    place.write("sub/a.bin", b"1")
    with place.local("sub/a.bin") as path:
        assert (path.name, path.read_bytes()) == ("a.bin", b"1")
    with pytest.raises(AudioFileError) as said, place.local("sub/a.bin") as path:
        raise AudioFileError(f"'{path}' is broken")
    assert str(said.value) == f"'{place.where('sub/a.bin')}' is broken"


def test_a_record_names_a_place_so_that_it_is_found_from_there(place, tmp_path):
    for other in (Place.of(tmp_path / "other"), Place.of("memory://other"), place):
        assert other.inside(stored_name(place, other)).is_same(place)
    assert not place.is_same(Place.of(tmp_path / "other"))


def test_what_a_store_raises_is_one_sentence(monkeypatch):
    place = Place.of("memory://refusing")
    place.write("a", b"1")

    def refuse(*args, **kwargs):
        raise RuntimeError("closed today")

    for name in ("cat_file", "info", "ls", "open", "get_file", "pipe_file", "put_file"):
        monkeypatch.setattr(place.files, name, refuse)
    says = r"^'memory://refusing(/a)?' cannot be read: RuntimeError: closed today$"
    for ask in (place.read, place.has, place.size, place.state, place.hash, place.names):
        with pytest.raises(InputError, match=says):
            ask("a")
    with pytest.raises(InputError, match=says), place.local("a"):
        pass
    with pytest.raises(OSError, match="closed today"):
        place.write("a", b"1")
    with pytest.raises(OSError, match="closed today"), place.new("a") as part:
        part.write_bytes(b"1")


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
