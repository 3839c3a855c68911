"""Damaged recordings by the thousand; `make fuzz` goes on for an hour."""

import pytest

from fuzz import fuzz


@pytest.mark.parametrize("seconds", [pytest.param(120, marks=pytest.mark.slow)])
def test_damage_ends_in_samples_or_a_sentence(tmp_path, seconds):
    n_files, failures = fuzz(seconds, tmp_path, first=1_000_000 * seconds)
    assert failures == []
    assert n_files > 10
