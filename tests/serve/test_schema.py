"""The OpenAPI document says what is answered: a fuzzer finds no fault and no other answer."""

import pytest

schemathesis = pytest.importorskip("schemathesis", reason="the extra 'dev' is not installed")

from hypothesis import HealthCheck, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from schemathesis.checks import (  # noqa: E402
    content_type_conformance,
    not_a_server_error,
    response_schema_conformance,
    status_code_conformance,
)

from latentfoley.serve.app import make_app  # noqa: E402
from latentfoley.serve.settings import Settings  # noqa: E402

CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
)
# They wait for a sound, and without a worker there is none: `test_jobs.py` calls them.
WAITING = ("/v1/audio/generate", "/v1/sound-generation")


@pytest.fixture(scope="module")
def schema(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzzed")
    app = make_app(Settings(folder=folder, host="testserver", limits={"queue": 10}))
    # Without a model it answers 503, which is no fault.
    app.state.service.model = {
        "id": "none",
        "knows": [],
        "mel": {},
        "identity": {},
    }

    async def without_lifespan(scope, receive, send):
        """Schemathesis starts and stops an app for every case, and this one with its worker."""
        if scope["type"] != "lifespan":
            await app(scope, receive, send)
            return
        for _ in ("startup", "shutdown"):
            await send({"type": f"{(await receive())['type']}.complete"})

    return schemathesis.openapi.from_asgi("/openapi.json", without_lifespan)


def test_names_every_route_with_an_example_and_problems(schema):
    raw = schema.raw_schema
    for path, operations in raw["paths"].items():
        for operation in operations.values():
            kinds = {
                tuple(r.get("content", {})) for s, r in operation["responses"].items() if s >= "400"
            }
            assert kinds == {("application/problem+json",)}, path
    for body in ("JobBody", "GenerateBody", "SoundGenerationBody"):
        assert raw["components"]["schemas"][body]["examples"]


def fuzz(schema, n):
    operations = [
        found.ok() for found in schema.get_all_operations() if found.ok().path not in WAITING
    ]

    @given(st.data())
    @settings(max_examples=n, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    def run(data):
        operation = data.draw(st.sampled_from(operations), label="operation")
        mode = data.draw(st.sampled_from(list(schemathesis.GenerationMode)), label="mode")
        case = data.draw(operation.as_strategy(generation_mode=mode))
        case.call_and_validate(checks=CHECKS)

    run()


def test_holds_for_a_few_cases(schema):
    fuzz(schema, 40)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_holds_for_two_thousand_cases(schema):
    fuzz(schema, 2000)
