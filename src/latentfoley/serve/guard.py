"""What stands before every route: who asks, from where, how much, and what is logged.

Written against the bare protocol (ASGI), so that a body is refused before anything reads it.
"""

import asyncio
import hashlib
import hmac
import logging
import re
import secrets
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from latentfoley.serve.metrics import Metrics
from latentfoley.serve.problems import Problem, on_fault, respond
from latentfoley.serve.settings import LOOPBACK, Settings

log = logging.getLogger("latentfoley.serve")

_OPEN = re.compile(r"/|/health|/health/ready|/openapi\.json|/page/[a-z.]+")
_BODY_NOT_READ = {408, 413}
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Guard:
    """The outermost layer of the app."""

    def __init__(self, app: ASGIApp, settings: Settings, metrics: Callable[[], Metrics]) -> None:
        self._app, self._settings, self._metrics = app, settings, metrics
        self._owners = {_digest(token): owner_of(token) for token in settings.tokens}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers, begun, status = Headers(scope=scope), time.perf_counter(), 500
        begun_answer = False
        given = headers.get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
        scope["request_id"] = request_id

        async def answer(message: Message) -> None:
            nonlocal status, begun_answer
            if message["type"] == "http.response.start":
                status, begun_answer = message["status"], True
                own = MutableHeaders(scope=message)
                own["X-Request-Id"] = request_id
                own["X-Content-Type-Options"] = "nosniff"
                own.setdefault("Cache-Control", "no-store")
                if status in _BODY_NOT_READ:  # else the rest of it is read, to whatever end
                    own["Connection"] = "close"
            await send(message)

        try:
            scope["owner"] = self._require_allowed(scope, headers)
            await self._app(scope, self._bounded(receive), answer)
        except Problem as problem:
            closing = {**(problem.headers or {}), "Connection": "close"}
            said = respond(problem.status_code, problem.detail, request_id, closing)
            await said(scope, receive, answer)
        except Exception as error:
            said = on_fault(error, request_id)
            if begun_answer:
                raise ConnectionAbortedError from None  # hang up: a part must not look whole
            await said(scope, receive, answer)
        finally:
            self._record(scope, status, time.perf_counter() - begun)

    def _require_allowed(self, scope: Scope, headers: Headers) -> str:
        """Return who asks.

        Raises:
            Problem: from a foreign page, without a token, or with too large a body.
        """
        self._require_own_origin(headers)
        owner = "" if _OPEN.fullmatch(scope["path"]) else self._owner(headers)
        limit, length = self._settings.limits.body_bytes, headers.get("content-length", "")
        if length.isdigit() and int(length[:20]) > limit:
            raise _too_large(limit)
        return owner

    def _require_own_origin(self, headers: Headers) -> None:
        """Refuse what a page of another site makes a browser send.

        A name that leads to this machine from outside (DNS rebinding) is a foreign page too.
        """
        host = headers.get("host", "")
        origin, fetched = headers.get("origin"), headers.get("sec-fetch-site", "none")
        foreign = origin is not None and urlsplit(origin).netloc != host
        crossing = fetched == "cross-site" and headers.get("sec-fetch-mode") != "navigate"
        if foreign or crossing:
            raise Problem(403, "a page of another site may not use this server")
        if not self._settings.tokens and _name(host) not in (*LOOPBACK, self._settings.host):
            raise Problem(403, f"without a token this server answers to {', '.join(LOOPBACK)} only")

    def _owner(self, headers: Headers) -> str:
        if not self._owners:
            return ""
        kind, _, token = headers.get("authorization", "").partition(" ")
        # ElevenLabs' clients send theirs in a header of their own.
        given = _digest(token if kind.lower() == "bearer" else headers.get("xi-api-key", ""))
        owner = None
        for known, name in self._owners.items():  # all of them: time must not tell which
            owner = name if hmac.compare_digest(given, known) else owner
        if owner is None:
            said = "a token is needed: Authorization: Bearer TOKEN"
            if "authorization" in headers or "xi-api-key" in headers:
                said = "the token is none of this server's; sent as Authorization: Bearer TOKEN"
            raise Problem(401, said, www_authenticate="Bearer")
        return owner

    def _bounded(self, receive: Receive) -> Receive:
        """Count a body while it arrives, and give it so much time."""
        limits = self._settings.limits
        n_bytes, open_, deadline = 0, True, time.monotonic() + limits.body_s

        async def bounded() -> Message:
            nonlocal n_bytes, open_
            if not open_:
                return await receive()
            try:
                async with asyncio.timeout(deadline - time.monotonic()):
                    message = await receive()
            except TimeoutError:
                raise Problem(408, f"the body took more than {limits.body_s:g} s") from None
            n_bytes += len(message.get("body", b""))
            open_ = bool(message.get("more_body", False))
            if n_bytes > limits.body_bytes:
                raise _too_large(limits.body_bytes)
            return message

        return bounded

    def _record(self, scope: Scope, status: int, spent_s: float) -> None:
        """Log and count an answer, by the route: paths and queries are the client's."""
        route: Any = scope.get("route")
        path, method = getattr(route, "path", "unknown"), scope["method"]
        method = method if method.isalpha() and len(method) < 8 else "unknown"
        self._metrics().requests.labels(method, path, status).inc()
        ids = scope.get("path_params", {}).get("job_id", "")
        job = f" job={ids}" if re.fullmatch(r"[0-9a-f]{32}", ids) else ""
        log.info(
            "request_id=%s method=%s route=%s%s status=%d ms=%.1f",
            *(scope["request_id"], method, path, job, status, 1000 * spent_s),
        )


def owner_of(token: str) -> str:
    """Return what a job knows its token by."""
    return hashlib.sha256(b"owner" + token.encode()).hexdigest()[:16]


def _digest(token: str) -> bytes:
    """Return as many bytes for a token of any length, so that comparing takes as long."""
    return hashlib.sha256(token.encode(errors="surrogateescape")).digest()


def _name(host: str) -> str:
    """Return the name in a Host header, without the port."""
    return (
        host.rpartition(":")[0].strip("[]") if ":" in host.rpartition("]")[2] else host.strip("[]")
    )


def _too_large(limit: int) -> Problem:
    return Problem(413, f"the body is too large; allowed: {limit / 2**20:g} MiB")
