"""A page is whole in one file, and a title is text."""

import base64
import re

from latentfoley.webpage import document, picture, player


def test_what_is_inside_is_the_very_bytes():
    data = bytes(range(256))
    for element in (player(data), picture(data, "a")):
        (inside,) = re.findall(r'src="data:[\w/]+;base64,([^"]+)"', element)
        assert base64.b64decode(inside) == data


def test_a_title_is_text():
    page = document("<script>", "<p>said</p>", style="p{color:red}")
    assert "<title>&lt;script&gt;</title>" in page
    assert "p{color:red}</style><p>said</p></html>" in page
    assert 'alt="&lt;b&gt;&quot;"' in picture(b"", '<b>"')
