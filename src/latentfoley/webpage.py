"""Every HTML page: one jinja2 environment, whose templates are in `templates/`.

A page is one file: style, sounds and pictures are inside, and nothing is fetched. What stands in a
page often comes from files that anyone can have written, so the environment escapes every value.
Templates extend `page.html` and take players, pictures and tables from `media.html`.
"""

import base64
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from latentfoley.encoding import write_atomically
from latentfoley.errors import InputError

if TYPE_CHECKING:
    from jinja2 import Environment

_TEMPLATES = Path(__file__).parent / "templates"


def render(template: str, **values: object) -> str:
    """Return a page.

    Args:
        template: the name of a file in `templates/`.
        values: what the template names. Text is escaped; `bytes` of a sound or a picture become
            part of the page through the macros of `media.html`.

    Raises:
        jinja2.UndefinedError: the template names a value that is not given.
    """
    return _environment().get_template(template).render(values)


def write_page(path: Path, text: str) -> None:
    """Write a page whole or not at all.

    Raises:
        InputError: the place cannot be written to.
    """
    try:
        write_atomically(path, text.encode("utf-8", errors="replace"))
    except OSError as error:
        raise InputError(f"'{path}' cannot be written: {error.strerror or error}") from None


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["data_url"] = _data_url
    return environment


def _data_url(data: bytes, media_type: str) -> str:
    """Return a URL that holds the data itself."""
    return f"data:{media_type};base64,{base64.b64encode(data).decode('ascii')}"


def document(title: str, body: str, *, style: str = "") -> str:
    """Return a page from HTML that is already escaped; `style` is CSS beyond the common one."""
    from markupsafe import Markup

    return render("body.html", title=title, body=Markup(body), style=Markup(style))


def player(sound: bytes) -> str:
    """Return the element that plays the bytes of a WAV file."""
    return str(_environment().get_template("media.html").module.player(sound))  # type: ignore[attr-defined]


def picture(png: bytes, says: str) -> str:
    """Return the element that shows the bytes of a PNG; `says` describes it in words."""
    return str(_environment().get_template("media.html").module.picture(png, says))  # type: ignore[attr-defined]
