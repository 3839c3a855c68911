"""The page on the service states what was measured of it."""

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def page():
    return (ROOT / "docs" / "serve.md").read_text(encoding="utf-8")


def report(name):
    path = ROOT / "benchmarks" / "serve" / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8"))


def test_what_it_costs_beyond_computing(page):
    found = report("speed")
    assert f"at {found['throughput_ratio']['median']:.3f} of the rate" in page
    assert f"takes {1000 * found['added_latency_s']['median']:.0f} ms longer" in page


def test_no_accepted_job_is_lost(page):
    kills, load = report("kills"), report("load")
    accepted, done = load["accepted_and_done"]
    assert accepted == done == load["answers"]["202"]
    assert f"{accepted:,} jobs accepted and done, {load['answers']['429']:,} answered 429" in page
    assert f"{kills['accepted']} jobs accepted, {kills['done']} done" in page
