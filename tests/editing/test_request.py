"""The request of an edit: each kind takes its own settings, and says so of the others."""

from pathlib import Path

import pytest

from latentfoley.editing import EditRequest
from latentfoley.editing.request import SETTINGS
from latentfoley.errors import InputError

build = EditRequest.build
NEEDED = {"inpaint": {"spans": ((0, 1),)}, "extend": {"after_s": 1}, "morph": {"other": "b.wav"}}


@pytest.mark.parametrize("kind", SETTINGS)
def test_every_kind_has_defaults(kind):
    request = build(kind, "a.wav", "rain", **NEEDED.get(kind, {}))
    assert (request.kind, request.source) == (kind, Path("a.wav"))
    for name, value in SETTINGS[kind].items():
        assert name in NEEDED.get(kind, {}) or getattr(request, name) == value


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("transfre", {}, "unknown edit 'transfre'; allowed: transfer, .* mean 'transfer'"),
        ("transfer", {"strenght": 1}, "unknown option 'strenght'; .* mean 'strength'"),
        ("transfer", {"strength": 1.5}, r"strength: must lie between 0 and 1, got 1\.5"),
        ("transfer", {"strength": float("nan")}, "strength: must be a finite number between 0 and"),
        ("vary", {"source_prompt": "rain"}, "source_prompt is no setting of vary; allowed: stre"),
        (
            "transfer",
            {"source_prompt": "rain", "negative_prompt": "rain"},
            "give a source prompt or a negative prompt",
        ),
    ],
)
def test_what_is_not_allowed(kind, options, message):
    with pytest.raises(InputError, match=message):
        build(kind, "a.wav", "rain", **options)


def test_a_transfer_has_to_be_told_to_what():
    with pytest.raises(InputError, match="transfer needs a prompt, or an audio prompt"):
        build("transfer", "a.wav")
    assert build("transfer", "a.wav", audio_prompt="b.wav").audio_prompts == ((Path("b.wav"), 1.0),)


def test_without_a_prompt_the_recording_is_the_guide():
    assert build("vary", "a.wav").audio_prompts == ((Path("a.wav"), 1.0),)
    assert build("vary", "a.wav", "rain").audio_prompts == ()
    assert build("morph", "a.wav", other="b.wav", mix=0.25).audio_prompts == (
        (Path("a.wav"), 0.75),
        (Path("b.wav"), 0.25),
    )
