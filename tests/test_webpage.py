"""A page is whole in one file, fits a telephone, and runs nothing that a value says."""

import base64
import re
from pathlib import Path

import jinja2
import pytest

from latentfoley import webpage
from latentfoley.errors import InputError

ATTACK = "<script>alert('x')</script>\"' onerror=alert(1)"


@pytest.fixture
def template(tmp_path, monkeypatch):
    """Return a function that renders the text of a template like one of the package's."""

    def render(text: str, **values: object) -> str:
        folder = tmp_path / "templates"
        folder.mkdir(exist_ok=True)
        for path in webpage._TEMPLATES.iterdir():
            (folder / path.name).write_text(path.read_text())
        (folder / "test.html").write_text('{% extends "page.html" %}' + text)
        monkeypatch.setattr(webpage, "_TEMPLATES", folder)
        webpage._environment.cache_clear()
        try:
            return webpage.render("test.html", **values)
        finally:
            webpage._environment.cache_clear()

    return render


MEDIA = '{% import "media.html" as media %}'


def test_every_value_is_escaped(template):
    body = (
        "{% block body %}<p title='{{ it }}'>{{ it }}</p>"
        + MEDIA
        + "{{ media.table([it], [[it]]) }}{{ media.picture(b, it) }}{% endblock %}"
    )
    page = template(body, title=ATTACK, it=ATTACK, b=b"")
    assert "<script" not in page
    assert page.count("&lt;script&gt;") == 6
    assert "&#34;&#39; onerror" in page


def test_sounds_and_pictures_are_the_very_bytes_and_nothing_is_fetched(template):
    data = bytes(range(256))
    body = (
        "{% block body %}"
        + MEDIA
        + "{{ media.player(b) }}{{ media.player(b, 'audio/flac') }}{{ media.picture(b, 'a') }}"
        "{{ media.picture(b, 'a', 'image/svg+xml') }}{% endblock %}"
    )
    page = template(body, title="t", b=data)
    inside = re.findall(r'src="data:([\w/+]+);base64,([^"]+)"', page)
    types = ["audio/wav", "audio/flac", "image/png", "image/svg+xml"]
    assert [media_type for media_type, _ in inside] == types
    assert all(base64.b64decode(text) == data for _, text in inside)
    assert not re.search(r"https?:|@import|<link|<script", page)


def test_every_page_fits_a_narrow_screen_and_a_dark_one(template):
    page = template("{% block body %}{% endblock %}", title="t")
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in page
    assert "color-scheme:light dark" in page


def test_a_missing_value_is_an_error_and_not_a_gap(template):
    with pytest.raises(jinja2.UndefinedError, match="forgotten"):
        template("{% block body %}{{ forgotten }}{% endblock %}", title="t")


def test_all_templates_extend_the_one_page():
    fragments = {"page.html", "media.html", "app.html"}  # app.html extends it after its macros
    for path in webpage._TEMPLATES.glob("*.html"):
        if path.name not in fragments:
            assert path.read_text().startswith('{% extends "page.html" %}'), path.name


def test_html_is_written_nowhere_else():
    package = Path(webpage.__file__).parent
    makers = {
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        if re.search(r"<(html|style|table|tr|td)\b", path.read_text())
    }
    assert not makers


def test_a_place_that_cannot_be_written_to_is_the_users_mistake(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        webpage.write_page(tmp_path / "file" / "page.html", "text")
