"""What messages say of names."""

from latentfoley.errors import nearest_files, printable, quoted


def test_a_name_without_end_is_cut():
    assert len(quoted("x" * 70_000)) < 300
    assert quoted("x" * 400) == f"'{'x' * 400}'"


def test_control_characters_are_written_out():
    assert printable("a\x1b[2J\u202e\udcff") == "a\\x1b[2J\\u202e\\udcff"


def test_what_is_there_under_the_name_is_said(tmp_path):
    (tmp_path / "link").symlink_to("gone")
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    assert nearest_files(tmp_path / "link") == " What is there is a link that leads nowhere."
    assert nearest_files(tmp_path / "circle") == " What is there is a link that leads nowhere."
    assert nearest_files(tmp_path / "folder") == " What is there is a folder."
    assert nearest_files(tmp_path / "file") == " What is there is a file."
    assert nearest_files(tmp_path / "fil") == " Nearest there: file."
