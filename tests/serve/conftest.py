"""One server with the micro model for all tests of a file, and an app without a worker."""

import pytest

pytest.importorskip("fastapi", reason="the extra 'serve' is not installed")

from latentfoley.serve.app import make_app
from latentfoley.serve.settings import Limits, Settings
from servers import serving


@pytest.fixture(scope="module")
def server(micro_model_folder, tmp_path_factory):
    with serving(micro_model_folder, tmp_path_factory.mktemp("served")) as running:
        yield running


@pytest.fixture(scope="module")
def http(server):
    with server.client() as client:
        yield client


@pytest.fixture
def app_client(tmp_path):
    """Return a function that opens an app whose worker is never started."""
    from starlette.testclient import TestClient

    def open_(*, host="localhost", limits=None, **settings):
        app = make_app(Settings(folder=tmp_path, limits=Limits(**(limits or {})), **settings))
        return TestClient(app, base_url=f"http://{host}:8321", raise_server_exceptions=False)

    return open_
