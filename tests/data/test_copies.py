"""Copies of remote latents: fetched once, what they should be, never more than there is room."""

from hashlib import sha256

import pytest

from latentfoley.data import copies
from latentfoley.data.copies import kept_copy
from latentfoley.errors import InputError, RecipeError
from latentfoley.places import Place

FILES = {f"{k}.safetensors": bytes([k]) * 100 for k in range(4)}
HASHES = {name: sha256(data).hexdigest() for name, data in FILES.items()}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Four files of 100 bytes in a remote place; what is kept lies in a folder of the test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    place = Place.of(f"memory://{tmp_path.name}")
    for name, data in FILES.items():
        place.write(name, data)
    yield place
    place.files.store.clear()


def keep(place, *numbers):
    """Ask for copies of some files; return the numbers of those that are kept afterwards."""
    for k in numbers:
        name = f"{k}.safetensors"
        copy = kept_copy(place, name, HASHES[name])
        assert copy.read_bytes() == FILES[name]
    kept = {path.read_bytes()[0] for path in copy.parent.iterdir()}
    assert len(kept) == len(list(copy.parent.iterdir()))
    return kept


def test_a_file_is_fetched_once(place, monkeypatch):
    keep(place, 0, 1)
    monkeypatch.setattr(Place, "fetch", None)
    assert keep(place, 1, 0) == {0, 1}


@pytest.mark.parametrize(
    ("asked", "kept"), [((0, 1, 2), {1, 2}), ((0, 1, 0, 2), {0, 2}), ((0, 1, 2, 3, 1), {3, 1})]
)
def test_beyond_the_room_those_go_that_were_not_used_for_longest(place, monkeypatch, asked, kept):
    monkeypatch.setattr(copies, "MOST_BYTES", 200)
    assert keep(place, *asked) == kept


def test_a_file_that_is_larger_than_the_room_is_kept_alone(place, monkeypatch):
    monkeypatch.setattr(copies, "MOST_BYTES", 50)
    assert keep(place, 0, 1) == {1}


def test_other_bytes_are_refused_and_not_kept(place):
    name = "0.safetensors"
    place.write(name, b"other")
    with pytest.raises(RecipeError, match=r"/0\.safetensors is damaged .*not those that were"):
        kept_copy(place, name, HASHES[name])
    place.write(name, FILES[name])
    assert keep(place, 0) == {0}


def test_a_copy_that_was_damaged_is_fetched_again(place):
    (copy,) = [kept_copy(place, "0.safetensors", HASHES["0.safetensors"])]
    copy.write_bytes(b"other")
    assert keep(place, 0) == {0}


def test_what_cannot_be_fetched_is_said(place):
    with pytest.raises(InputError, match=r"/none' cannot be read"):
        kept_copy(place, "none", "0" * 64)
    with pytest.raises(RecipeError, match="has no hash in its record"):
        kept_copy(place, "0.safetensors", "")
