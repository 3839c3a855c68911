"""The names and types of options are those of the requests, and editors see them."""

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Unpack, get_type_hints

import pytest

from latentfoley.client import Client
from latentfoley.editing.request import EditRequest
from latentfoley.options import EditOptions, GenerationOptions
from latentfoley.pipeline import Model
from latentfoley.request import GenerationRequest

PAIRS = Sequence[tuple[float, float]]
# What a request takes besides the type that it keeps.
ALSO = {
    Path | None: str | Path | None,
    tuple[tuple[float, float], ...]: PAIRS,
}


@pytest.mark.parametrize(
    ("options", "request_kind", "arguments"),
    [
        (GenerationOptions, GenerationRequest, {"prompts"}),
        (EditOptions, EditRequest, {"prompts", "kind", "source"}),
    ],
)
def test_they_are_the_fields_of_the_request(options, request_kind, arguments):
    fields = {
        name: ALSO.get(field.annotation, field.annotation)
        for name, field in request_kind.model_fields.items()
        if name not in arguments
    }
    assert get_type_hints(options) == fields


@pytest.mark.parametrize("owner", [Model, Client])
@pytest.mark.parametrize(
    ("name", "options"), [("generate", GenerationOptions), ("edit", EditOptions)]
)
def test_the_signatures_name_them(owner, name, options):
    parameter = inspect.signature(getattr(owner, name)).parameters["options"]
    assert parameter.annotation in (Unpack[options], f"Unpack[{options.__name__}]")
