"""The page at `/`: a template, a style sheet and modules of JavaScript, all from this server.

Its policy lets a browser fetch from nowhere else.
"""

from pathlib import Path

from fastapi import APIRouter
from starlette.responses import FileResponse, HTMLResponse, Response

from latentfoley.samplers import SAMPLERS, SPACINGS
from latentfoley.serve.problems import Problem
from latentfoley.webpage import render

router = APIRouter(include_in_schema=False)

_FOLDER = Path(__file__).parent / "page"
_TYPES = {".js": "text/javascript", ".css": "text/css"}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' blob:; "
    "img-src 'self' blob: data:; media-src 'self' blob:; frame-ancestors 'none'; "
    "base-uri 'none'; form-action 'self'"
)


@router.get("/")
async def page() -> HTMLResponse:
    """Return the page."""
    text = render("app.html", samplers=list(SAMPLERS), spacings=list(SPACINGS))
    headers = {"Content-Security-Policy": _POLICY, "Referrer-Policy": "no-referrer"}
    return HTMLResponse(text, headers=headers)


@router.get("/page/{name}")
async def part(name: str) -> Response:
    """Return a file of the page."""
    files = {file.name: file for file in _FOLDER.iterdir()}
    if name not in files:
        raise Problem(404, "there is nothing at this address; /openapi.json lists what there is")
    return FileResponse(files[name], media_type=_TYPES[files[name].suffix])
