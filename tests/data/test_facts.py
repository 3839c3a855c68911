"""Facts from rows of tables, and how two sources are joined."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latentfoley.data.facts import Facts, facts_of, split_of

texts = st.text("ab", max_size=2)
lists = st.lists(texts, max_size=3, unique=True).map(tuple)
some_facts = st.builds(
    Facts,
    split=st.sampled_from([None, "train", "valid"]),
    captions=lists,
    labels=lists,
    title=texts,
    licence=texts,
)


@given(one=some_facts)
def test_nothing_adds_nothing(one):
    assert one.joined(Facts()) == Facts().joined(one) == one.joined(one) == one


@given(one=some_facts, two=some_facts, three=some_facts)
def test_joining_has_no_brackets(one, two, three):
    assert one.joined(two).joined(three) == one.joined(two.joined(three))


@pytest.mark.parametrize(
    ("row", "facts"),
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
def test_a_row(row, facts):
    assert facts_of(row) == Facts(**facts)


@pytest.mark.parametrize("name", ["val", "valid", "validation", "test", "eval", "evaluation"])
def test_what_is_not_for_training_is_held_out(name):
    assert split_of(name) == "valid"
