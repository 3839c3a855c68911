"""Everything that goes wrong, as `application/problem+json` (RFC 9457) in our own words.

A library's text never leaves: an error of ours is told as it is, an error of FastAPI or starlette
by its status, and a fault by its kind alone.
"""

import errno
import json
import logging
import sqlite3
import traceback
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from latentfoley.errors import UserError, nearest, what_is_wrong

MEDIA_TYPE = "application/problem+json"
log = logging.getLogger("latentfoley.serve")

_BY_STATUS = {
    400: "the request cannot be read: a body of JSON or of form data is expected, in UTF-8",
    404: "there is nothing at this address; /openapi.json lists what there is",
    405: "this address does not know that method; /openapi.json lists those it knows",
}


class Problem(HTTPException):
    """An answer that says what is wrong."""

    def __init__(self, status: int, detail: str, **headers: str) -> None:
        named = {name.replace("_", "-").title(): value for name, value in headers.items()}
        super().__init__(status, detail, named)


def disk_full() -> Problem:
    """Return the answer where nothing can be written."""
    return Problem(507, "there is no room left on the server's disk; nothing was accepted")


def describe(errors: Iterable[Mapping[str, Any]], allowed: Iterable[str] = ()) -> str:
    """Return the first of pydantic's errors as a sentence that names the field."""
    first = next(iter(errors))
    path = [str(part) for part in first["loc"] if part not in ("body", "query", "path")]
    if first["type"] == "json_invalid":
        return "the body is not valid JSON"
    if not path and first["type"] == "missing":
        return "the body is empty; JSON is expected"
    if not path:
        return f"the body {what_is_wrong(first)}"
    name = path[0]
    if first["type"] == "extra_forbidden":
        return f"unknown field '{_short(name)}'; {nearest(name, allowed)}"
    given = "" if first["type"] == "missing" else f", got {_short(repr(first['input']))}"
    return f"{_short('.'.join(path))} {what_is_wrong(first)}{given}"


def respond(
    status: int, detail: str, request_id: str, headers: Mapping[str, str] | None = None
) -> Response:
    """Return the answer; ASCII, because a client's text may hold what UTF-8 cannot."""
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "request_id": request_id,
    }
    return Response(json.dumps(body), status, dict(headers or {}), MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Let every expected error of an app be answered here; `guard.py` catches the rest."""
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(UserError, _on_user)
    app.add_exception_handler(sqlite3.Error, _on_storage)
    app.add_exception_handler(OSError, _on_storage)


def _id(request: Request) -> str:
    return str(request.scope.get("request_id", ""))


def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    known = isinstance(error, Problem)
    status = error.status_code
    detail = error.detail if known else _BY_STATUS.get(status, HTTPStatus(status).phrase)
    return respond(status, detail, _id(request), error.headers)


def _on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    allowed = getattr(request.scope.get("route"), "fields", ())
    status = 400 if error.errors()[0]["type"] == "json_invalid" else 422
    return respond(status, describe(error.errors(), allowed), _id(request))


def _on_user(request: Request, error: Exception) -> Response:
    return respond(422, str(error), _id(request))


def _on_storage(request: Request, error: Exception) -> Response:
    """Answer for a disk that is full; anything else there is a fault."""
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    if full or isinstance(error, sqlite3.OperationalError):
        said = disk_full()
        return respond(said.status_code, said.detail, _id(request))
    return on_fault(error, _id(request))


def on_fault(error: Exception, request_id: str) -> Response:
    """Log a fault of ours and answer with its kind."""
    log_fault(error, request_id)
    detail = f"{type(error).__name__}: this is a fault of ours; the server's log has the request id"
    return respond(500, detail, request_id)


def log_fault(error: BaseException, request_id: str) -> None:
    """Log where a fault is; not its message, which can hold a prompt."""
    places = " < ".join(
        f"{frame.filename}:{frame.lineno} {frame.name}"
        for frame in reversed(traceback.extract_tb(error.__traceback__))
    )
    log.error("fault request_id=%s kind=%s at=%s", request_id, type(error).__name__, places)


def _short(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:79]}…"
