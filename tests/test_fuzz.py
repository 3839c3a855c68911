"""Damaged recordings by the thousand; `make fuzz` goes on for an hour."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fuzz import fuzz

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
PEAK = "import fuzz; print(fuzz.peak_bytes())"


@pytest.mark.parametrize("seconds", [5, pytest.param(120, marks=pytest.mark.slow)])
def test_damage_ends_in_samples_or_a_sentence(tmp_path, seconds):
    n_files, failures = fuzz(seconds, tmp_path, first=1_000_000 * seconds)
    assert failures == []
    assert n_files > 0


def test_memory_is_that_of_the_program_and_not_of_its_parent():
    held = np.ones(50_000_000)
    said = subprocess.check_output([sys.executable, "-c", PEAK], cwd=Path(__file__).parent)
    assert 1_000_000 < int(said) < held.nbytes
