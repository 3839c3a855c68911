"""Listening: uvicorn with a limit on slow heads, and an end that lets waiting clients go."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from latentfoley.errors import InputError, ModelError
from latentfoley.serve.app import make_app
from latentfoley.serve.service import Service
from latentfoley.serve.settings import LOOPBACK, Settings

log = logging.getLogger("latentfoley.serve")

_GRACEFUL_S = 15


def serve(settings: Settings, on_listening: Callable[[str], object] = lambda _: None) -> None:
    """Listen until a signal ends it.

    Args:
        settings: of the server.
        on_listening: called with its address once it listens.

    Raises:
        InputError: the host is open to others and there is no token, or another server uses the
            folder or the port.
        ModelError: the model cannot be loaded.
    """
    if settings.host not in LOOPBACK and not settings.tokens:
        raise InputError(
            f"the host {settings.host} can be reached from other machines, so a token is needed: "
            "give --token-file or LATENTFOLEY_TOKEN, or listen on 127.0.0.1"
        )
    app = make_app(settings, lambda: server.end())
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=_protocol(settings.limits.header_s),
        ws="none",
        access_log=False,
        log_level="warning",
        server_header=False,
        limit_concurrency=settings.limits.connections,
        timeout_graceful_shutdown=_GRACEFUL_S,
    )
    server = _Server(config, app.state.service, on_listening)
    try:
        server.run()
    except SystemExit:
        raise InputError(
            f"cannot listen on {settings.host}:{settings.port}: it is in use"
        ) from None
    if app.state.service.fatal:
        raise ModelError(app.state.service.fatal)


class _Server(uvicorn.Server):
    """Tells the service about a signal at once, so that open streams end and do not hold it up."""

    def __init__(
        self, config: uvicorn.Config, service: Service, on_listening: Callable[[str], object]
    ) -> None:
        super().__init__(config)
        self._service, self._on_listening = service, on_listening

    def end(self) -> None:
        """Stop listening."""
        self.should_exit = True

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Begin to stop."""
        super().handle_exit(sig, frame)
        self._service.begin_stop()

    async def startup(self, sockets: Any = None) -> None:
        """Listen, and say where."""
        await super().startup(sockets)
        for listening in self.servers:
            for socket in listening.sockets:
                host, port = socket.getsockname()[:2]
                url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
                log.info("listening on %s", url)
                self._on_listening(url)


def _protocol(header_s: float) -> type[H11Protocol]:
    """Return uvicorn's protocol with a limit on how long the head of a request may take."""

    class Protocol(H11Protocol):
        _timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._timer = self.loop.call_later(header_s, transport.abort)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            incomplete = self.conn.their_state is h11.IDLE
            if incomplete and self._timer is None:
                self._timer = self.loop.call_later(header_s, self.transport.abort)
            elif not incomplete:
                self._stop_timer()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_timer()
            super().connection_lost(exc)

        def _stop_timer(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    return Protocol
