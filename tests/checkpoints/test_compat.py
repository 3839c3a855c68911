"""Which of the two readings of the published configs is active, and that it says why."""

import pytest

from latentfoley.checkpoints import compat
from latentfoley.errors import InputError


@pytest.mark.parametrize(
    ("written", "mode", "value", "why"),
    [
        (8, "trained", [4, 8, 12, 20], "trained with 32 channels per head"),
        (8, "diffusers", [8, 8, 8, 8], "diffusers reads 8 as heads of every level"),
        (4, "trained", [4, 4, 4, 4], "one number in"),
        ([1, 2, 3, 4], "trained", [1, 2, 3, 4], "level by level"),
        ([1, 2, 3, 4], "diffusers", [1, 2, 3, 4], "level by level"),
    ],
)
def test_heads(written, mode, value, why):
    choice = compat.heads(written, [128, 256, 384, 640], mode)
    assert choice.value == value
    assert why in choice.why


@pytest.mark.parametrize(
    ("written", "heads", "mode", "value"),
    [
        (1e-12, 8, "trained", 1e-5),
        (1e-12, 8, "diffusers", 1e-12),
        (1e-12, [4, 8], "trained", 1e-12),  # not a published folder: it means what it says
        (1e-6, 8, "trained", 1e-6),
    ],
)
def test_text_eps(written, heads, mode, value):
    assert compat.text_eps(written, heads, mode).value == value


def test_an_unknown_reading():
    with pytest.raises(
        InputError, match=r"compat 'difusers' is not known; .*Did you mean 'diffusers'"
    ):
        compat.require_mode("difusers")
