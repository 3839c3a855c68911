"""Prompts from lists, files and clips: names that make pairs, labels, and a noise of their own."""

import pytest

from latentfoley.data.metadata import Entry, write_manifest
from latentfoley.errors import InputError, RecipeError
from latentfoley.evaluation.sets.clips import Clip, ClipSet
from latentfoley.evaluation.sets.prompts import (
    Prompt,
    read_labelled_prompts,
    read_named_prompts,
    wanted_prompts,
)


def read(tmp_path, name, text):
    (tmp_path / name).write_text(text, encoding="utf-8")
    return read_named_prompts(tmp_path / name)


def test_lines_are_numbered(tmp_path):
    found = read(tmp_path, "c.txt", "rain\n\n  a dog \n")
    assert found == [Prompt("rain", "00000"), Prompt("a dog", "00001")]


def test_a_table_names_the_clips(tmp_path):
    csv = 'file_name,caption\na/b.c.wav,rain\nd,"a dog, far"\na/b.c.wav,second\n'
    expected = [Prompt("rain", "a/b.c"), Prompt("a dog, far", "d")]
    assert read(tmp_path, "c.csv", csv) == expected
    assert read(tmp_path, "c.jsonl", '{"path": "x.flac", "captions": ["one", "two"]}\n') == [
        Prompt("one", "x")
    ]


def test_prompts_of_generate_are_captions_too(tmp_path):
    assert read(tmp_path, "c.csv", "prompt\nrain\n") == [Prompt("rain", "00000")]


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("c.txt", "\n", "holds no prompts"),
        ("c.wav", "x", "prompts come from .txt"),
        ("c.csv", "path,captoin\na.wav,rain\n", "c.csv:2: no text under"),
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
        read_named_prompts(tmp_path / "caption.csv")


def test_clips_give_theirs(tmp_path):
    clips = (Clip("a", tmp_path, "rain"), Clip("b", tmp_path, ""))
    assert wanted_prompts(None, ClipSet(tmp_path, clips[:1])) == [Prompt("rain", "a")]
    with pytest.raises(InputError, match=r"'b' of .* has none"):
        wanted_prompts(None, ClipSet(tmp_path, clips))


@pytest.fixture
def labelled(tmp_path):
    path = tmp_path / "prompts.toml"
    path.write_text('a = ["a1", "a2", "a3"]\nb = ["b1"]\nc = ["c1", "c2"]\n')
    return path


def test_labels_take_turns_and_a_limit_is_a_beginning(labelled):
    prompts = read_labelled_prompts(labelled, None)
    assert [prompt.text for prompt in prompts] == ["a1", "b1", "c1", "a2", "c2", "a3"]
    assert prompts[4].label == "c"
    for limit in range(1, 6):
        assert read_labelled_prompts(labelled, limit) == prompts[:limit]


def test_a_list_and_the_captions_of_a_manifest(tmp_path):
    assert read_labelled_prompts(["rain", "sea"], None) == [Prompt("rain"), Prompt("sea")]
    entries = [
        Entry(path="1.wav", captions=("rain", "wet"), labels=("weather",)),
        Entry(path="3.wav", captions=("a dog",)),
    ]
    write_manifest(tmp_path / "m.jsonl", entries)
    found = read_labelled_prompts(tmp_path / "m.jsonl", None)
    assert found == [Prompt("rain", label="weather"), Prompt("a dog")]


def test_captions_and_a_text_that_comes_again(tmp_path):
    (tmp_path / "p.txt").write_text("rain\nsea\n\nrain\n")
    assert read_labelled_prompts(tmp_path / "p.txt", None) == [Prompt("rain"), Prompt("sea")]


def test_the_noise_depends_on_the_text_alone():
    assert Prompt("rain", label="weather").index(2) == Prompt("rain").index(0) + 2
    assert len({Prompt(f"sound {k}").index(0) for k in range(1000)}) == 1000


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a = [1]", "a is no list of texts"),
        ("a = 'rain'", "a is no list of texts"),
        ("a = [", "not valid TOML"),
        ("", "there are no prompts"),
        ("a = ['x']\nb = ['x']", "'x' has two labels: 'a' and 'b'"),
    ],
)
def test_a_file_that_holds_none(tmp_path, text, says):
    (tmp_path / "p.toml").write_text(text)
    with pytest.raises(RecipeError, match=says):
        read_labelled_prompts(tmp_path / "p.toml", None)


def test_other_mistakes(tmp_path, labelled):
    with pytest.raises(RecipeError, match=r"Nearest there: prompts.toml"):
        read_labelled_prompts(tmp_path / "prompt.toml", None)
    (tmp_path / "p.wav").write_text("rain")
    with pytest.raises(InputError, match=r"prompts come from \.txt"):
        read_labelled_prompts(tmp_path / "p.wav", None)
    with pytest.raises(InputError, match="must say something"):
        read_labelled_prompts(["rain", " "], None)
