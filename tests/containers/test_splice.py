"""Pieces of a file that read as one."""

import io
import os

from hypothesis import given
from hypothesis import strategies as st

from latentfoley.containers.splice import Span, Splice

DATA = bytes(range(256))
spans = st.tuples(st.integers(0, 256), st.integers(0, 256)).map(lambda ends: Span(*sorted(ends)))


@given(st.lists(spans | st.binary(max_size=20), max_size=6), st.data())
def test_it_reads_as_the_joined_pieces(pieces, data):
    whole = b"".join(p if isinstance(p, bytes) else DATA[p.start : p.end] for p in pieces)
    splice = Splice(io.BytesIO(DATA), pieces)
    assert splice.read() == whole
    assert splice.seek(0, os.SEEK_END) == len(whole)
    start = data.draw(st.integers(0, len(whole) + 5))
    n_bytes = data.draw(st.integers(0, 300))
    splice.seek(start)
    assert splice.read(n_bytes) == whole[start : start + n_bytes]
    assert splice.tell() == max(start, min(start + n_bytes, len(whole)))


def test_a_file_that_becomes_shorter_ends_early():
    assert Splice(io.BytesIO(b"abc"), [Span(0, 9)]).read() == b"abc"
