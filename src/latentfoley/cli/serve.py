"""`latentfoley serve` and `latentfoley ui`: the HTTP service and its page."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from latentfoley.cli import options
from latentfoley.errors import InputError, MissingExtraError

Option = typer.Option
Folder = Annotated[Path, Option(help="Folder of the job store and its sounds.")]
MIB = 2**20


def serve(
    host: Annotated[str, Option(help="Address to listen on; others than this need a token.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, Option(help="Port to listen on; 0 takes a free one.")] = 8321,
    token: Annotated[
        list[str] | None,
        Option(help="Token that opens the API; several open it each to its own jobs."),
    ] = None,
    token_file: Annotated[
        Path | None, Option(help="File with one token in a line; also LATENTFOLEY_TOKEN.")
    ] = None,
    folder: Folder = Path("latentfoley-serve"),
    model: options.ModelName = "tiny",
    lora: options.Lora = None,
    device: Annotated[
        list[str] | None, Option(help="cpu, cuda:0 …, one worker each; by default the fastest.")
    ] = None,
    dtype: options.Dtype = "auto",
    compat: options.CompatName = "trained",
    max_body_mib: Annotated[float, Option(help="Largest body of a request, in MiB.")] = 64,
    max_upload_s: Annotated[float, Option(help="Seconds of sound in a recording.")] = 600,
    max_work: Annotated[float, Option(help="Clip seconds × steps × sounds of a job.")] = 50_000,
    max_queue: Annotated[int, Option(help="Jobs that wait.")] = 100,
    max_jobs_per_token: Annotated[int, Option(help="Unfinished jobs of one token.")] = 50,
    max_job_s: Annotated[float, Option(help="Seconds that a job may compute.")] = 600,
    max_streams: Annotated[int, Option(help="Open event streams.")] = 100,
    max_connections: Annotated[int, Option(help="Open connections.")] = 512,
    tries: Annotated[int, Option(help="Starts of a job whose worker dies.")] = 2,
    keep_days: Annotated[float, Option(help="Days for which sounds are kept.")] = 7,
    keep_gib: Annotated[float, Option(help="GiB of sounds that are kept.")] = 10,
) -> None:
    """Serve generation and editing over HTTP, with jobs that survive a crash.

    Example: latentfoley serve --port 8321
    """
    limits = {
        "body_bytes": round(max_body_mib * MIB),
        "upload_s": max_upload_s,
        "work": max_work,
        "queue": max_queue,
        "jobs_per_token": max_jobs_per_token,
        "job_s": max_job_s,
        "streams": max_streams,
        "connections": max_connections,
        "tries": tries,
        "keep_s": keep_days * 86_400,
        "keep_bytes": round(keep_gib * 1024 * MIB),
    }
    _listen(
        folder=folder,
        host=host,
        port=port,
        tokens=tuple(_tokens(token, token_file)),
        model=model,
        lora=lora,
        dtype=dtype,
        compat=compat,
        devices=tuple(device or [None]),
        limits=limits,
    )


def ui(
    port: Annotated[int, Option(help="Port to listen on; 0 takes a free one.")] = 8321,
    folder: Folder = Path("latentfoley-serve"),
    model: options.ModelName = "tiny",
    lora: options.Lora = None,
    device: options.Device = None,
    dtype: options.Dtype = "auto",
    compat: options.CompatName = "trained",
) -> None:
    """Open the page in a browser: generate, listen, mark, remake.

    It is the page of `latentfoley serve`, for this machine alone.
    """
    import webbrowser

    _listen(
        webbrowser.open,
        folder=folder,
        port=port,
        model=model,
        lora=lora,
        dtype=dtype,
        compat=compat,
        devices=(device,),
    )


def _listen(on_listening: Callable[[str], object] = lambda _: None, **settings: Any) -> None:
    """Build the settings of a server and start it.

    Raises:
        MissingExtraError: the extra is not installed.
        InputError: a setting that is not allowed.
    """
    import logging

    from pydantic import ValidationError

    try:
        from latentfoley.serve.problems import describe
        from latentfoley.serve.server import serve as listen
        from latentfoley.serve.settings import Settings
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"the service needs {error.name}: pip install 'latentfoley[serve]'"
        ) from None
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        asked = Settings.model_validate(settings)
    except ValidationError as error:
        raise InputError(describe(error.errors())) from None
    listen(asked, on_listening)


def _tokens(given: list[str] | None, file: Path | None) -> list[str]:
    """Return the tokens of the command line, the file and the environment.

    Raises:
        InputError: the file cannot be read, or a token is too easy to guess.
    """
    lines: list[str] = []
    if file is not None:
        try:
            lines = file.read_text(encoding="utf-8").split()
        except (OSError, UnicodeDecodeError):
            raise InputError(f"the token file '{file}' cannot be read") from None
        if not lines:
            raise InputError(f"the token file '{file}' holds no token")
    inherited = os.environ.get("LATENTFOLEY_TOKEN", "").split()
    tokens = [*(given or []), *lines, *inherited]
    if any(len(token) < _SHORTEST for token in tokens):
        raise InputError(f"a token has fewer than {_SHORTEST} characters; make one with: {_MAKE}")
    return tokens


_SHORTEST = 16
_MAKE = "python3 -c 'import secrets; print(secrets.token_urlsafe())'"
