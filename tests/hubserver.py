"""A hub on this machine: as much of the Hugging Face protocol as a download needs."""

import json
import re
import threading
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "feeb3d14203495a4b6ac0893cbdedb2159b4819c"


class Hub:
    """Serves the folders owner/name under `root`; `damaged` files arrive with one byte changed."""

    def __init__(self, root: Path) -> None:
        self.root, self.damaged, self.cut = root, set(), set()
        self.requests: list[tuple[str, str, str | None]] = []


@contextmanager
def serving(root: Path, monkeypatch, cache: Path):
    """Point huggingface_hub at a hub of our own, with a cache of its own."""
    hub = Hub(root)
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    constants = "huggingface_hub.constants"
    monkeypatch.setattr(f"{constants}.ENDPOINT", endpoint)
    template = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(f"{constants}.HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(f"{constants}.HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(f"{constants}.HF_HUB_OFFLINE", False)
    monkeypatch.setattr(f"{constants}.DOWNLOAD_CHUNK_SIZE", 1 << 14)  # so that a cut shows
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self.answer()

    def do_GET(self):
        self.answer()

    def log_message(self, *_):
        """Keep quiet."""

    def answer(self):
        path, wanted = self.path.partition("?")[0], self.headers.get("Range")
        self.hub.requests.append((self.command, path, wanted))
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)/(tree|revision)/.+", path):
            return self.list(self.hub.root / found[1], found[1], found[2])
        found = re.fullmatch(r"/([^/]+/[^/]+)/resolve/[^/]+/(.+)", path)
        if found and (self.hub.root / found[1] / found[2]).is_file():
            return self.send(self.hub.root / found[1] / found[2], found[2], wanted)
        return self.reply(404, b"", {"X-Error-Code": "RepoNotFound"})

    def list(self, folder, name, what):
        if not folder.is_dir():
            return self.reply(404, b"", {"X-Error-Code": "RepoNotFound"})
        files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
        names = [file.relative_to(folder).as_posix() for file in files]
        if what == "revision":
            siblings = [{"rfilename": name} for name in names]
            content = {"id": name, "sha": COMMIT, "siblings": siblings}
        else:
            content = [
                {"type": "file", "path": name, "size": file.stat().st_size, "oid": "0" * 40}
                for name, file in zip(names, files, strict=True)
            ]
        return self.reply(200, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def send(self, file, name, wanted):
        content = file.read_bytes()
        headers = {
            "X-Repo-Commit": COMMIT,
            "ETag": f'"{sha256(content).hexdigest()}"',
            "Accept-Ranges": "bytes",
        }
        if name in self.hub.damaged:
            content = bytes([content[0] ^ 1]) + content[1:]
        if wanted:
            start = int(wanted.removeprefix("bytes=").partition("-")[0])
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            return self.reply(206, content[start:], headers)
        if name in self.hub.cut and self.command == "GET":
            self.hub.cut.discard(name)
            return self.reply(200, content[: len(content) // 2], headers, announced=len(content))
        return self.reply(200, content, headers)

    def reply(self, status, content, headers, announced=None):
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(announced or len(content)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)
        if announced:
            self.close_connection = True
