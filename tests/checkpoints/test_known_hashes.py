"""A kept hash is never that of other content, and weights are read once."""

import os

import pytest

from latentfoley.checkpoints.known_hashes import known_hash
from latentfoley.checkpoints.tensors import hash_file


@pytest.fixture
def file(tmp_path, monkeypatch):
    """A file that has settled: for the clock of the cache it is an hour later."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("latentfoley.checkpoints.known_hashes._SETTLED_NS", -(10**18))
    path = tmp_path / "weights"
    path.write_bytes(b"one")
    return path


def ask(file):
    """Return the hash, and whether the file was read for it."""
    read = []

    def compute():
        read.append(file)
        return hash_file(file)[:16]

    return known_hash([file], compute), bool(read)


def test_a_file_is_read_once(file):
    expected = hash_file(file)[:16]
    assert [ask(file), ask(file)] == [(expected, True), (expected, False)]


def write_in_place(file):
    """Change the content, and set back its moment as a copying tool does."""
    before = file.stat()
    with file.open("r+b") as opened:
        opened.write(b"two")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def exchange(file):
    other = file.with_name("other")
    other.write_bytes(b"two")
    os.utime(other, ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns))
    other.replace(file)


@pytest.mark.parametrize("change", [write_in_place, exchange, lambda file: file.write_bytes(b"2")])
def test_a_changed_file_is_read_again(file, change):
    ask(file)
    change(file)
    assert ask(file) == (hash_file(file)[:16], True)


def test_nothing_is_kept_of_what_may_still_change_unseen(file, monkeypatch):
    monkeypatch.setattr("latentfoley.checkpoints.known_hashes._SETTLED_NS", 2 * 10**9)
    assert [ask(file)[1], ask(file)[1]] == [True, True]


@pytest.mark.parametrize("content", ["", "0123", "not hexadecimal!"])
def test_a_damaged_cache_is_none(file, tmp_path, content):
    ask(file)
    (kept,) = (tmp_path / "cache" / "latentfoley" / "hashes").iterdir()
    kept.write_text(content)
    assert ask(file) == (hash_file(file)[:16], True)


def test_a_cache_that_cannot_be_written_is_none(file, tmp_path):
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert [ask(file)[1], ask(file)[1]] == [True, True]
