"""The app: routes, guard and service put together."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from latentfoley.serve import answers, dialects, pages, problems, routes
from latentfoley.serve.asked import JobBody
from latentfoley.serve.guard import Guard
from latentfoley.serve.service import Service
from latentfoley.serve.settings import Settings
from latentfoley.serve.workers import Worker
from latentfoley.version import __version__


def make_app(settings: Settings, on_fatal: Callable[[], None] = lambda: None) -> FastAPI:
    """Return the app of a server.

    Args:
        settings: of the server.
        on_fatal: called where no worker can load the model; `app.state.service.fatal` says why.

    Raises:
        InputError: another server uses the folder.
    """
    service = Service(settings, on_fatal)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await service.start([Worker(service, device) for device in settings.devices])
        yield
        await service.stop()

    app = FastAPI(
        title="LatentFoley",
        version=__version__,
        description="Text to sound with latent diffusion.",
        lifespan=lifespan,
        docs_url=None,  # their pages fetch scripts from elsewhere
        redoc_url=None,
    )
    app.state.service = service
    app.include_router(routes.router)
    app.include_router(dialects.router)
    app.include_router(pages.router)
    problems.install(app)
    app.add_middleware(Guard, settings=settings, metrics=lambda: service.metrics)
    app.openapi = lambda: _schema(app)  # type: ignore[method-assign]
    return app


def _schema(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document, with what routes name without taking it as an argument."""
    if app.openapi_schema is None:
        schema = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes
        )
        parts = schema["components"]["schemas"]
        parts["JobBody"] = JobBody.model_json_schema(ref_template="#/components/schemas/{model}")
        parts["ProblemBody"] = answers.ProblemBody.model_json_schema()
        schema["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        for path, operations in schema["paths"].items():
            for operation in operations.values():
                if path.startswith("/v1") or path == "/metrics":
                    operation["security"] = [{"token": []}]
        app.openapi_schema = schema
    return app.openapi_schema
