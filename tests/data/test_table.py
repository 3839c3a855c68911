"""A dictionary on disk is a dictionary."""

from hypothesis import given, settings
from hypothesis import strategies as st

from latentfoley.data.table import DiskTable

texts = st.text("aé雨\x00' ", max_size=4)


@settings(max_examples=50, deadline=None)
@given(pairs=st.lists(st.tuples(texts, texts), max_size=8), asked=texts)
def test_as_a_dictionary(pairs, asked):
    expected = {}
    with DiskTable() as table:
        for key, text in pairs:
            assert table.setdefault(key, "first") == expected.setdefault(key, "first")
            table[key] = expected[key] = text
        assert len(table) == len(expected)
        assert table.get(asked) == expected.get(asked)
