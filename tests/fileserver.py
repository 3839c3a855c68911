"""One file behind a web server on this machine, with the faults that downloads meet."""

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Site:
    """What is served at `url`.

    Attributes:
        content: the bytes of the file.
        cut: send that many and hang up; 0 sends all.
        ranges: whether a request may begin in the middle.
        asked: the Range header of every request.
    """

    def __init__(self, content: bytes) -> None:
        self.content, self.cut, self.ranges = content, 0, True
        self.asked: list[str | None] = []
        self.url = ""


@contextmanager
def serving(content: bytes):
    """Yield a `Site`."""
    site = Site(content)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"site": site}))
    site.url = f"http://127.0.0.1:{server.server_port}/weights.pth"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    site: Site

    def do_GET(self):
        wanted = self.headers.get("Range")
        self.site.asked.append(wanted)
        whole, start = self.site.content, 0
        if wanted and self.site.ranges:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(whole):
                return self.send_error(416)
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(whole) - start))
        self.end_headers()
        end = start + self.site.cut if self.site.cut else len(whole)
        self.wfile.write(whole[start:end])
        return None

    def log_message(self, *_):
        """Keep quiet."""
