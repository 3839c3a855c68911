"""The request behind every door: what is allowed, and what is said about the rest."""

import math
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from latentfoley.errors import InputError
from latentfoley.request import GenerationRequest, parse_blend
from latentfoley.samplers import SAMPLERS, SPACINGS

build = GenerationRequest.build

RANGES = {
    "duration_s": (0.1, 3600.0, 1e-3),
    "steps": (1, 1000, 1),
    "guidance": (0.0, 100.0, 1e-3),
    "seed": (0, 2**63 - 1, 1),
    "n": (1, 10_000, 1),
    "candidates": (1, 64, 1),
    "index": (0, 2**31, 1),
    "candidate": (0, 2**31, 1),
}
words = st.text("abc é雨'\"", min_size=1, max_size=12).map(str.strip).filter(bool)


# What other programs call samplers of ours.
PEERS = {
    **dict.fromkeys(("dpm", "dpmpp", "dpm++2m", "dpmpp_2m", "DPMSolverMultistep"), "dpm++"),
    **dict.fromkeys(("dpmpp_2m_sde", "DPM++ 2M SDE Karras"), "dpm++sde"),
    **dict.fromkeys(("k_euler", "EulerDiscreteScheduler"), "euler"),
    **{"k_heun": "heun", "uni_pc": "unipc", "unipc_bh2": "unipc", "DDIMScheduler": "ddim"},
}


class TestPrompts:
    def test_one_many_and_blends(self):
        assert build("rain").prompts == ("rain",)
        assert build(["rain", "sea"]).prompts == ("rain", "sea")
        assert build(("rain", {"sea": 2, "wind": 1})).prompts == (
            "rain",
            "sea @2.000000 + wind @1.000000",
        )

    @pytest.mark.parametrize(
        ("prompt", "message"),
        [
            ("", "a prompt must say something; it is empty"),
            (" \t\n", "a prompt must say something"),
            (["rain", ""], "a prompt must say something"),
            ([], "the list of prompts is empty"),
            (None, "either prompts or an audio prompt"),
            ([7], "a prompt is a text or a mapping of texts to weights, got 7"),
            ([None], "a prompt is a text or a mapping"),
            ("x" * 2001, "at most 2000 characters"),
            ("\ud800", "lone surrogate"),
            (["x"] * 10_001, "at most 10000 prompts"),
            ({}, "a blend needs texts without"),
            ({"rain": -1}, "the weight of 'rain' must be a number of at least 0, got -1"),
            ({"rain": math.nan}, "the weight of 'rain'"),
            ({"rain": math.inf}, "the weight of 'rain'"),
            ({"rain": "much"}, "the weight of 'rain' .* got 'much'"),
            ({"rain": 0, "sea": 0.0}, "not all of them 0"),
            ({"a cat @ home": 1, "rain": 1}, "a blend needs texts without '@'"),
            ({"": 1, "rain": 1}, "one has no text"),
            ("\u200b\x07", "a prompt must say something; it is empty"),
            ("a\0", "holds a NUL, which is no character of a text"),
        ],
    )
    def test_what_is_no_prompt(self, prompt, message):
        with pytest.raises(InputError, match=message):
            build(prompt)

    @pytest.mark.parametrize("prompt", ["x" * 2000, "雨" * 2000, "--help", "50 % @ home", "\x07a"])
    def test_any_text_is_one(self, prompt):
        assert build(prompt).prompts == (prompt,)

    def test_the_negative_prompt_may_be_empty_but_not_endless(self):
        assert build("rain", negative_prompt="").negative_prompt == ""
        with pytest.raises(InputError, match="negative_prompt: at most 2000 characters"):
            build("rain", negative_prompt="x" * 2001)

    def test_a_recording_stands_for_the_prompt_and_not_beside_it(self):
        assert build(audio_prompt="a.wav").audio_prompt == Path("a.wav")
        with pytest.raises(InputError, match="and not both"):
            build("rain", audio_prompt="a.wav")


class TestRanges:
    @pytest.mark.parametrize("name", RANGES)
    def test_both_ends_are_allowed(self, name):
        low, high, _ = RANGES[name]
        assert getattr(build("rain", **{name: low}), name) == low
        assert getattr(build("rain", **{name: high}), name) == high

    @pytest.mark.parametrize("name", RANGES)
    def test_beyond_them_is_not(self, name):
        low, high, little = RANGES[name]
        for value in (low - little, high + little):
            with pytest.raises(InputError, match=f"{name}: must lie between .* and .*, got"):
                build("rain", **{name: value})

    @pytest.mark.parametrize("name", ["duration_s", "guidance", "eta"])
    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
    def test_numbers_are_finite(self, name, value):
        with pytest.raises(InputError, match=f"{name}: .*finite"):
            build("rain", **{name: value})

    @pytest.mark.parametrize("name", ["steps", "seed", "n", "candidates", "index", "candidate"])
    @pytest.mark.parametrize("value", [1.5, "many", None])
    def test_counts_are_whole(self, name, value):
        with pytest.raises(InputError, match=f"{name}: .*whole number"):
            build("rain", **{name: value})

    def test_eta_is_for_ddim(self):
        assert build("rain", sampler="ddim", eta=1.0).eta == 1.0
        with pytest.raises(InputError, match=r"eta: must lie between 0 and 1, got 1\.1"):
            build("rain", sampler="ddim", eta=1.1)
        with pytest.raises(InputError, match=r"eta is a setting of ddim; dpm\+\+ takes none"):
            build("rain", eta=0.5)


class TestNames:
    @pytest.mark.parametrize("sampler", SAMPLERS)
    @pytest.mark.parametrize("spacing", [None, *SPACINGS])
    def test_every_sampler_with_every_spacing(self, sampler, spacing):
        request = build("rain", sampler=sampler, spacing=spacing)
        assert (request.sampler, request.spacing) == (sampler, spacing)

    @pytest.mark.parametrize(
        ("option", "message"),
        [
            ({"sampler": "ddmi"}, "sampler: 'ddmi' is unknown; allowed: .*you mean 'ddim'[?]$"),
            *(
                ({"sampler": name}, rf"Did you mean '{re.escape(ours)}'[?]$")
                for name, ours in PEERS.items()
            ),
            ({"spacing": "karas"}, "spacing: 'karas' is unknown; .*Did you mean 'karras'[?]$"),
            ({"step": 5}, "unknown option 'step'; allowed: .*Did you mean 'steps'"),
            ({"duration": 5}, "unknown option 'duration'; .*Did you mean 'duration_s'"),
            ({"prompts": ["rain"]}, "unknown option 'prompts'"),
        ],
    )
    def test_an_unknown_one_and_its_nearest(self, option, message):
        with pytest.raises(InputError, match=message):
            build("rain", **option)

    def test_a_request_cannot_be_changed(self):
        with pytest.raises(ValidationError):
            build("rain").seed = 1

    def test_clips_in_all(self):
        assert build(["rain", "sea"], n=3).n_clips == 6
        assert build(audio_prompt="a.wav", n=3).n_clips == 3


class TestBlends:
    @settings(max_examples=100, deadline=None)
    @given(st.dictionaries(words, st.floats(0.01, 100), min_size=1, max_size=4))
    def test_a_mapping_comes_back(self, mapping):
        (prompt,) = build(mapping).prompts
        texts, weights = zip(*parse_blend(prompt), strict=True)
        total = sum(mapping.values())
        assert texts == tuple(mapping)
        assert sum(weights) == pytest.approx(1)
        expected = [weight / total for weight in mapping.values()]
        assert weights == pytest.approx(expected, abs=1e-4)

    @pytest.mark.parametrize(
        ("prompt", "says"),
        [
            ("rain @0,7 + a dog @0,3", "a weight has a comma where a point belongs"),
            ("rain @0.7 + a dog @,3", "a weight has a comma where a point belongs"),
            ("rain @0.7 +", "'+' has none"),
            ("rain @0.7 + dog @0.3 + ", "'+' has none"),
        ],
    )
    def test_what_is_half_a_blend_is_no_prompt(self, prompt, says):
        with pytest.raises(InputError, match=re.escape(says)):
            parse_blend(prompt)

    @settings(max_examples=100, deadline=None)
    @given(st.text("ab @+-.,0123e ", max_size=30))
    def test_weights_always_sum_to_one(self, prompt):
        try:
            parts = parse_blend(prompt)
        except InputError as error:
            assert "the parts of a blend are texts with weights of at least 0" in str(error)
            return
        assert sum(weight for _, weight in parts) == pytest.approx(1)
        assert all(weight >= 0 for _, weight in parts)

    @pytest.mark.parametrize(
        ("prompt", "parts"),
        [
            ("rain @0.7 + a dog barking @0.3", [("rain", 0.7), ("a dog barking", 0.3)]),
            ("rain @3 + sea @1", [("rain", 0.75), ("sea", 0.25)]),
            ("rain@2", [("rain", 1.0)]),
            ("rain @0 + sea @1", [("rain", 0.0), ("sea", 1.0)]),
            ("cats + dogs", [("cats + dogs", 1.0)]),
            ("rain @0.7+thunder @0.3", [("rain", 0.7), ("thunder", 0.3)]),
            ("rain@.7 +thunder @ 3e-1", [("rain", 0.7), ("thunder", 0.3)]),
            ("cats + dogs @1 + rain @1", [("cats + dogs", 0.5), ("rain", 0.5)]),
            ("mail me @ home", [("mail me @ home", 1.0)]),
        ],
    )
    def test_what_has_weights_is_one(self, prompt, parts):
        assert parse_blend(prompt) == [(text, pytest.approx(weight)) for text, weight in parts]

    @pytest.mark.parametrize(
        ("prompt", "says"),
        [
            ("rain @0.7 + dogs", "'dogs' has none"),
            ("dogs, rain @0.7 + @0.3", "one has no text"),
            ("rain @0 + sea @0", "not all of them 0"),
            ("rain @1 + sea @-0.5", "to lead away from a sound, give a negative prompt"),
        ],
    )
    def test_a_part_without_a_weight_is_refused(self, prompt, says):
        with pytest.raises(InputError, match=says):
            build(prompt)


@pytest.mark.parametrize("prompt", [42, 1.5, object(), True, b"rain"])
def test_a_prompt_that_is_none(prompt):
    with pytest.raises(InputError, match="a prompt is a text"):
        GenerationRequest.build(prompt)
