"""The page on speed states what was measured, and what was measured holds together."""

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STAGES = ("guided step", "step", "VAE decoder", "HiFi-GAN, a quarter")


@pytest.fixture(scope="module")
def report():
    return json.loads((ROOT / "benchmarks" / "speed.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def page():
    return (ROOT / "docs" / "speed.md").read_text(encoding="utf-8")


def test_the_page_states_every_stage_and_clip(report, page):
    found = report["S"]
    of_stages = [
        found[stage][f"{side}_s"] for stage in STAGES for side in ("diffusers", "exact", "default")
    ]
    clips = [found["clips"][f"{k} steps"] for k in (25, 200)]
    of_clips = [clip[key] for clip in clips for key in clip if key != "fast_ratio"]
    fast = [found["clips"]["fast_s"], *(clip["fast_ratio"] for clip in clips)]
    said = found["said"]["default, mean difference of the log-mel, nats"]
    assert [f for f in [*of_stages, *of_clips, *fast, said] if f"{f:g}" not in page] == []


def test_the_page_states_a_machine_without_bf16(page):
    found = json.loads((ROOT / "benchmarks" / "speed_avx2.json").read_text(encoding="utf-8"))["S"]
    sides = ("diffusers", "exact")
    figures = [found[stage][f"{side}_s"] for stage in STAGES for side in sides]
    clips = [found["clips"][f"{k} steps"] for k in (25, 200)]
    keys = ("diffusers_s", "exact_s", "exact_ratio", "fast_ratio")
    figures += [found["clips"]["fast_s"], *(clip[key] for clip in clips for key in keys)]
    assert [f for f in figures if f"{f:g}" not in page] == []
    assert found["said"]["exact, largest difference of the waveform"] < 1e-4


@pytest.mark.parametrize("size", ["S", "M", "L"])
def test_the_page_states_every_size(report, page, size):
    clips = report[size]["clips"]
    clip = clips["25 steps"]
    said = (
        f"| {size} | {clip['diffusers_s']:g} s | {clip['exact_s']:g} s ({clip['exact_ratio']:g}) | "
    )
    said += f"{clip['default_s']:g} s ({clip['default_ratio']:g}) | "
    said += f"{clips['fast_s']:g} s ({clip['fast_ratio']:g}) |"
    assert said in page


def test_exact_is_exact(report):
    assert report["S"]["said"]["exact, largest difference of the waveform"] < 1e-4


def test_a_clip_is_the_sum_of_its_stages(report):
    found = report["S"]
    counts = (25, 0, 1, 4)
    whole = sum(n * found[stage]["default_s"] for n, stage in zip(counts, STAGES, strict=True))
    assert found["clips"]["25 steps"]["default_s"] == pytest.approx(whole, abs=0.01)


def test_the_page_states_the_growth(page):
    found = json.loads((ROOT / "benchmarks" / "growth.json").read_text(encoding="utf-8"))
    for line in (found["by duration"], found["by clips"]):
        assert f"{round(line['slope'], 3):g}" in page
        assert f"at most {round(100 * line['farthest'])} % off" in page


def test_the_page_states_memory_and_it_is_flat_beyond_the_window(page):
    found = json.loads((ROOT / "benchmarks" / "generating.json").read_text(encoding="utf-8"))
    names = ("int8", "int8, 60 s", "bf16", "bf16, 60 s", "bf16, 600 s")
    peaks = [found[f"S, {name}"]["peak_GB"] for name in names]
    said = "takes {:.2f} GB for 10 s and {:.2f} GB for 60 s; in bf16 {:.2f} GB for 10 s, "
    said += "{:.2f} GB for 60 s and {:.2f} GB for 600 s"
    assert said.format(*peaks) in page
    assert peaks[1] < 1.05 * peaks[0]
    assert peaks[4] < 1.05 * peaks[3]


def test_the_page_states_the_cold_start(page):
    path = ROOT / "benchmarks" / "speed" / "cold_start.json"
    found = json.loads(path.read_text(encoding="utf-8"))["elapsed"]
    assert f"{found['after_s']:g} s, where" in page
    assert f"took {found['before_s']:g} with" in page
    assert f"{found['ratio']:g} times as fast (`benchmarks/speed/cold_start.py`" in page
