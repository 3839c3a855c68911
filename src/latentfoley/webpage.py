"""A page as one HTML file: style, sounds and pictures are inside, nothing is fetched.

What stands in a page often comes from files that anyone can have written: whoever builds one
escapes it.
"""

import base64
from html import escape

_STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:64em;margin:2em auto;padding:0 1em}
table{border-collapse:collapse;width:100%}td,th{padding:.3em .6em;text-align:left}
td,th{vertical-align:top}
tr{border-bottom:1px solid #ccc}td.n{font-variant-numeric:tabular-nums;white-space:nowrap}
.warn{background:#fff3cd;color:#000;padding:.6em 1em}small{color:#666}img{max-width:100%}
audio{width:100%}"""


def document(title: str, body: str, *, style: str = "") -> str:
    """Return a whole page; `title` is text, `body` is HTML, `style` CSS beyond the common one."""
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        f"<title>{escape(title)}</title><style>{_STYLE}{style}</style>{body}</html>\n"
    )


def player(wav: bytes) -> str:
    """Return an element that plays the bytes of a WAV file."""
    return f'<audio controls preload="metadata" src="data:audio/wav;base64,{_base64(wav)}"></audio>'


def picture(png: bytes, says: str) -> str:
    """Return an element that shows the bytes of a PNG; `says` is for those who cannot see it."""
    return f'<img alt="{escape(says)}" src="data:image/png;base64,{_base64(png)}">'


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
