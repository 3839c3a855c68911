"""Ogg files, page by page: the streams in them, one after the other, and whether each is whole.

Several recordings may stand in one file, joined end to end ("chained", RFC 3533, §4); a decoder
that is asked once plays the first.
"""

from dataclasses import dataclass, field
from typing import BinaryIO, NamedTuple

from latentfoley.containers.splice import Span

_HEADER_BYTES = 27
_BEGINS, _ENDS = 0x02, 0x04
_SEARCHED_BYTES = 1 << 16
_CODECS = {
    b"\x01vorbis": "VORBIS",
    b"OpusHead": "OPUS",
    b"\x7fFLAC": "FLAC",
    b"Speex   ": "SPEEX",
    b"\x80theora": "THEORA",
}


class _Page(NamedTuple):
    flags: int
    serial: int
    body: int  # where its data stands
    end: int


@dataclass
class Link:
    """What plays at one time: one stream, or several side by side.

    Attributes:
        span: where it stands.
        codecs: of its streams, "" for one that is not known here.
        is_whole: whether each stream has its last page, which says that it is the last.
    """

    span: Span
    codecs: list[str] = field(default_factory=list)
    is_whole: bool = False


def find_links(file: BinaryIO, n_bytes: int) -> list[Link]:
    """Return the links of an Ogg file, in order; what stands between pages is passed over."""
    links: list[Link] = []
    open_streams: set[int] = set()
    has_data, position = True, 0
    while position < n_bytes:
        page = _read_page(file, position)
        if page is None or page.end > n_bytes:
            position = _next_page(file, position, n_bytes)
            continue
        begins = bool(page.flags & _BEGINS)
        if begins and has_data:
            links.append(Link(Span(position, position)))
            open_streams.clear()
        has_data = not begins
        if links:
            link = links[-1]
            if begins:
                link.codecs.append(_read_codec(file, page))
                open_streams.add(page.serial)
            if page.flags & _ENDS:
                open_streams.discard(page.serial)
            link.span = Span(link.span.start, page.end)
            link.is_whole = not open_streams
        position = page.end
    return links


def _read_page(file: BinaryIO, position: int) -> _Page | None:
    file.seek(position)
    head = file.read(_HEADER_BYTES)
    if len(head) < _HEADER_BYTES or head[:5] != b"OggS\0":
        return None
    sizes = file.read(head[26])
    body = position + _HEADER_BYTES + head[26]
    return _Page(head[5], int.from_bytes(head[14:18], "little"), body, body + sum(sizes))


def _read_codec(file: BinaryIO, page: _Page) -> str:
    file.seek(page.body)
    head = file.read(8)
    return next((name for mark, name in _CODECS.items() if head.startswith(mark)), "")


def _next_page(file: BinaryIO, position: int, n_bytes: int) -> int:
    """Return where the next page may begin."""
    while position < n_bytes:
        file.seek(position + 1)
        found = file.read(_SEARCHED_BYTES).find(b"OggS")
        if found >= 0:
            return position + 1 + found
        position += _SEARCHED_BYTES - 3
    return n_bytes
