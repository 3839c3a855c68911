"""Prompts from lists and files; their noise is their own."""

import pytest

from latentfoley.data.metadata import Entry, write_manifest
from latentfoley.errors import InputError, RecipeError
from latentfoley.evaluation.ablation.prompts import Prompt, read_prompts


@pytest.fixture
def labelled(tmp_path):
    path = tmp_path / "prompts.toml"
    path.write_text('a = ["a1", "a2", "a3"]\nb = ["b1"]\nc = ["c1", "c2"]\n')
    return path


def test_labels_take_turns_and_a_limit_is_a_beginning(labelled):
    prompts = read_prompts(labelled, None)
    assert [prompt.text for prompt in prompts] == ["a1", "b1", "c1", "a2", "c2", "a3"]
    assert prompts[4].label == "c"
    for limit in range(1, 6):
        assert read_prompts(labelled, limit) == prompts[:limit]


def test_a_list_and_the_captions_of_a_manifest(tmp_path):
    assert read_prompts(["rain", "sea"], None) == [Prompt("rain"), Prompt("sea")]
    entries = [
        Entry(path="1.wav", captions=("rain", "wet"), labels=("weather",)),
        Entry(path="2.wav"),
        Entry(path="3.wav", captions=("a dog",)),
    ]
    write_manifest(tmp_path / "m.jsonl", entries)
    found = read_prompts(tmp_path / "m.jsonl", None)
    assert found == [Prompt("rain", "weather"), Prompt("a dog")]


def test_captions_and_a_text_that_comes_again(tmp_path):
    (tmp_path / "p.txt").write_text("rain\nsea\n\nrain\n")
    assert read_prompts(tmp_path / "p.txt", None) == [Prompt("rain"), Prompt("sea")]


def test_the_noise_depends_on_the_text_alone():
    assert Prompt("rain", "weather").index(2) == Prompt("rain").index(0) + 2
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
        read_prompts(tmp_path / "p.toml", None)


def test_other_mistakes(tmp_path, labelled):
    with pytest.raises(RecipeError, match=r"Nearest there: prompts.toml"):
        read_prompts(tmp_path / "prompt.toml", None)
    (tmp_path / "p.wav").write_text("rain")
    with pytest.raises(InputError, match=r"captions come from \.txt"):
        read_prompts(tmp_path / "p.wav", None)
    with pytest.raises(InputError, match="must say something"):
        read_prompts(["rain", " "], None)
