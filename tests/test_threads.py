"""Waiting threads sleep: the policy is set before torch is imported, unless the user has set it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(("before", "after"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_the_policy_is_set_before_torch_loads_and_the_users_own_stays(before, after):
    program = (
        "import os, sys, latentfoley\n"
        "assert 'torch' not in sys.modules\n"
        "print(os.environ['OMP_WAIT_POLICY'])"
    )
    environment = {name: v for name, v in os.environ.items() if name != "OMP_WAIT_POLICY"}
    if before:
        environment["OMP_WAIT_POLICY"] = before
    words = [sys.executable, "-c", program]
    end = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60)
    assert (end.stdout, end.stderr) == (f"{after}\n", "")


def test_the_page_shows_what_was_measured():
    found = json.loads((ROOT / "benchmarks/threads.json").read_text())
    page = (ROOT / "docs/which-model.md").read_text(encoding="utf-8").partition("## Threads")[2]
    order = ("default, all", "default, 1", "passive, all", "passive, 1")
    for label, key in (("as the machine was", "idle_s"), ("beside one", "beside_a_busy_core_s")):
        (line,) = re.findall(rf"^\| {label}.*$", page, re.M)
        shown = [float(cell.replace("over", "")) for cell in line.split("|")[2:6]]
        assert shown == [found[key][name] for name in order]
