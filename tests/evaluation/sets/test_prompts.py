"""Files of captions: names that make pairs, and rows that cannot be used."""

import pytest

from latentfoley.errors import InputError
from latentfoley.evaluation.sets.clips import Clip
from latentfoley.evaluation.sets.prompts import Caption, captions_of, read_captions


def read(tmp_path, name, text):
    (tmp_path / name).write_text(text, encoding="utf-8")
    return read_captions(tmp_path / name)


def test_lines_are_numbered(tmp_path):
    found = read(tmp_path, "c.txt", "rain\n\n  a dog \n")
    assert found == [Caption("00000", "rain"), Caption("00001", "a dog")]


def test_a_table_names_the_clips(tmp_path):
    csv = 'file_name,caption\na/b.c.wav,rain\nd,"a dog, far"\na/b.c.wav,second\n'
    expected = [Caption("a/b.c", "rain"), Caption("d", "a dog, far")]
    assert read(tmp_path, "c.csv", csv) == expected
    assert read(tmp_path, "c.jsonl", '{"path": "x.flac", "captions": ["one", "two"]}\n') == [
        Caption("x", "one")
    ]


def test_prompts_of_generate_are_captions_too(tmp_path):
    assert read(tmp_path, "c.csv", "prompt\nrain\n") == [Caption("00000", "rain")]


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("c.txt", "\n", "holds no captions"),
        ("c.wav", "x", "captions come from .txt"),
        ("c.csv", "path,captoin\na.wav,rain\n", "row 1: no caption in columns path, captoin"),
        ("c.csv", "path,caption\na.wav,rain, heavy\n", "more fields than columns"),
        ("c.csv", "path,caption\n../../etc/x.wav,rain\n", "leads out of the folder"),
        ("c.csv", "path,caption\n/etc/x.wav,rain\n", "leads out of the folder"),
        ("c.jsonl", "{", "not JSON"),
    ],
)
def test_what_cannot_be_used_is_answered(tmp_path, name, text, says):
    with pytest.raises(InputError, match=says):
        read(tmp_path, name, text)


def test_a_missing_file_is_answered(tmp_path):
    (tmp_path / "captions.csv").write_text("caption\nrain\n")
    with pytest.raises(InputError, match=r"Nearest there: captions\.csv"):
        read_captions(tmp_path / "caption.csv")


def test_clips_give_theirs(tmp_path):
    clips = (Clip("a", tmp_path, "rain"), Clip("b", tmp_path, ""))
    assert captions_of(tmp_path, clips[:1]) == [Caption("a", "rain")]
    with pytest.raises(InputError, match=r"'b' of .* has none"):
        captions_of(tmp_path, clips)
