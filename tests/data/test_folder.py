"""What a folder holds: an order that does not depend on the machine, and no surprises in it."""

import os

import pytest

from latentfoley.data.folder import Found, find_recordings, list_recordings, require_folder
from latentfoley.errors import AudioFileError, InputError


def names(folder):
    return [found.path for found in find_recordings(folder)]


def test_sorted_by_folder_and_by_suffix_alone(tmp_path):
    for name in ("b.wav", "a.FLAC", "z/c.mp3", "z/y/d.ogg", "m/é 雨 '\".wav", "a.txt", "x.m4a"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert names(tmp_path) == ["a.FLAC", "b.wav", "x.m4a", "m/é 雨 '\".wav", "z/c.mp3", "z/y/d.ogg"]


def test_what_systems_leave_behind_is_passed_over(tmp_path):
    for name in ("._a.wav", ".hidden/a.wav", "__MACOSX/a.wav", ".ipynb_checkpoints/a.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.wav").mkdir()
    assert names(tmp_path) == []


def test_a_circle_of_links_ends(tmp_path):
    (tmp_path / "a.wav").touch()
    (tmp_path / "again").symlink_to(tmp_path)
    (tmp_path / "b.wav").symlink_to(tmp_path / "a.wav")
    assert names(tmp_path) == ["a.wav", "b.wav"]


def test_a_link_that_leads_nowhere_is_said(tmp_path):
    (tmp_path / "a.wav").symlink_to("gone.wav")
    assert list(find_recordings(tmp_path)) == [Found("a.wav", "it is a link that leads nowhere")]


def test_a_link_to_itself_hides_nothing_else(tmp_path):
    (tmp_path / "a.wav").symlink_to("a.wav")
    (tmp_path / "b.wav").touch()
    (tmp_path / "LICENSE").symlink_to("LICENSE")
    assert list(find_recordings(tmp_path)) == [
        Found("a.wav", "it is a link that leads nowhere"),
        Found("b.wav"),
    ]


def test_a_name_that_is_not_utf_8_is_said(tmp_path):
    (tmp_path / os.fsdecode(b"\xff.wav")).touch()
    assert list(find_recordings(tmp_path)) == [
        Found("\\xff.wav", "the name is not UTF-8; rename it")
    ]


def test_a_folder_that_is_closed_is_said(tmp_path, monkeypatch):
    (tmp_path / "closed").mkdir()
    (tmp_path / "open").mkdir()
    (tmp_path / "open" / "a.wav").touch()
    scandir = os.scandir

    def refuse(path):
        if str(path).rstrip("/").endswith("closed"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    closed, found = find_recordings(tmp_path)
    assert closed == Found("closed", "the folder cannot be listed: Permission denied")
    assert found == Found("open/a.wav")


def test_a_list_holds_paths_or_says_why_not(tmp_path):
    (tmp_path / "sub").mkdir()
    for name in ("b.wav", "._b.wav", "sub/a.flac"):
        (tmp_path / name).touch()
    assert list_recordings(tmp_path) == [tmp_path / "b.wav", tmp_path / "sub/a.flac"]
    (tmp_path / "c.wav").symlink_to("gone.wav")
    with pytest.raises(AudioFileError, match=r"c\.wav': it is a link that leads nowhere"):
        list_recordings(tmp_path)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("recordigns", "there is no folder '.*recordigns'. Nearest there: recordings"),
        ("file.wav", "file.wav' is a file; give the folder"),
    ],
)
def test_what_is_no_folder(tmp_path, name, says):
    (tmp_path / "recordings").mkdir()
    (tmp_path / "file.wav").touch()
    with pytest.raises(InputError, match=says):
        require_folder(tmp_path / name)
