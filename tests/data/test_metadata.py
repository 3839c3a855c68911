"""Metadata from rows of tables, and how two sources are joined."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latentfoley.data.metadata import (
    Entry,
    Metadata,
    metadata_of,
    read_manifest,
    split_of,
    write_manifest,
)
from latentfoley.errors import RecipeError

texts = st.text("ab", max_size=2)
lists = st.lists(texts, max_size=3, unique=True).map(tuple)
some_facts = st.builds(
    Metadata,
    split=st.sampled_from([None, "train", "valid"]),
    captions=lists,
    labels=lists,
    title=texts,
    licence=texts,
)


@given(one=some_facts)
def test_nothing_adds_nothing(one):
    assert one.joined(Metadata()) == Metadata().joined(one) == one.joined(one) == one


@given(one=some_facts, two=some_facts, three=some_facts)
def test_joining_has_no_brackets(one, two, three):
    assert one.joined(two).joined(three) == one.joined(two.joined(three))


@pytest.mark.parametrize(
    ("row", "metadata"),
    [
        ({"caption_2": "b", "caption_1": "a", "caption_3": "a"}, {"captions": ("b", "a")}),
        ({"Text": " two \n words "}, {"captions": ("two words",)}),
        ({"caption": "x" * 3000}, {"captions": ("x" * 2000,)}),
        ({"label": "Bee, wasp"}, {"labels": ("Bee, wasp",)}),
        ({"labels": "Bee, wasp"}, {"labels": ("Bee", "wasp")}),
        ({"labels": ["Bee, wasp"]}, {"labels": ("Bee, wasp",)}),
        ({"tags": "a;b,c"}, {"labels": ("a", "b", "c")}),
        ({"split": "test", "license": None}, {"split": "valid"}),
        ({"caption": {"a": 1}, "title": 7}, {"title": "7"}),
        ({}, {}),
    ],
)
def test_a_row(row, metadata):
    assert metadata_of(row) == Metadata(**metadata)


@pytest.mark.parametrize("name", ["val", "valid", "validation", "test", "eval", "evaluation"])
def test_what_is_not_for_training_is_held_out(name):
    assert split_of(name) == "valid"


words = st.text('aé雨"\\\n\u2028\x85 ', max_size=12)
entries = st.builds(
    Entry,
    path=words.filter(bool),
    split=st.sampled_from(["train", "valid"]),
    captions=st.lists(words, max_size=3).map(tuple),
    labels=st.lists(words, max_size=2).map(tuple),
    author=words,
)


@pytest.fixture
def manifest(tmp_path):
    """Write lines; return the path."""

    def manifest(text):
        path = tmp_path / "manifest.jsonl"
        path.write_text(text, encoding="utf-8")
        return path

    return manifest


@settings(max_examples=50, deadline=None)
@given(written=st.lists(entries, min_size=1, max_size=4))
def test_what_is_written_is_read(written, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "round-trip.jsonl"
    write_manifest(path, written)
    assert read_manifest(path) == written


def test_only_the_path_is_needed(manifest):
    (entry,) = read_manifest(manifest('{"path": "a.wav"}\n'))
    assert entry == Entry(path="a.wav")
    assert (entry.split, entry.captions, entry.labels) == ("train", (), ())


def test_empty_lines_are_nothing(manifest):
    assert len(read_manifest(manifest('\n{"path": "a.wav"}\n\n  \n{"path": "b.wav"}'))) == 2


def test_lines_of_windows(manifest):
    path = manifest("")
    path.write_bytes(b'{"path": "a.wav"}\r\n{"path": "b.wav"}\r\n')
    assert [entry.path for entry in read_manifest(path)] == ["a.wav", "b.wav"]


def test_a_caption_may_hold_any_separator_of_unicode(manifest):
    (entry,) = read_manifest(manifest('{"path": "a.wav", "captions": ["one\u2028two\x85three"]}'))
    assert entry.captions == ("one\u2028two\x85three",)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "manifest.jsonl:2: not JSON"),
        ("[1]", "manifest.jsonl:2: expected a JSON object, got list"),
        ("{}", "manifest.jsonl:2: path: Field required"),
        ('{"paht": "a.wav"}', "manifest.jsonl:2: unknown key 'paht'; .*Did you mean 'path'"),
        ('{"path": "a.wav", "split": "test"}', "manifest.jsonl:2: split: .*got 'test'"),
        ('{"path": "a.wav", "captions": "rain"}', "manifest.jsonl:2: captions: "),
        ('{"path": 7}', "manifest.jsonl:2: path: "),
    ],
)
def test_a_bad_line_is_named(manifest, line, message):
    with pytest.raises(RecipeError, match=message):
        read_manifest(manifest(f'{{"path": "a.wav"}}\n{line}\n'))


@pytest.mark.parametrize("text", ["", "\n\n"])
def test_a_manifest_of_nothing(manifest, text):
    with pytest.raises(RecipeError, match="lists no recordings"):
        read_manifest(manifest(text))


def test_no_manifest(tmp_path):
    with pytest.raises(RecipeError, match="there is no manifest at"):
        read_manifest(tmp_path / "nowhere.jsonl")


def test_not_utf_8(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(b'{"path": "\xff"}')
    with pytest.raises(RecipeError, match="is not UTF-8"):
        read_manifest(tmp_path / "a.jsonl")
