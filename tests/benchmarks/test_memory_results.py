"""Memory of long sounds: measured, stated, and no more than a few copies of the sound."""

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMANDS = {"generate": "`generate`", "transfer": "`edit transfer`"}
SECOND_MB = 16_000 * 4 / 1e6  # of samples, in float32


@pytest.fixture(scope="module")
def peaks():
    report = json.loads((ROOT / "benchmarks" / "memory.json").read_text(encoding="utf-8"))
    return {
        command: [report[f"{command}, {duration_s} s"]["peak_MB"] for duration_s in (10, 60, 600)]
        for command in COMMANDS
    }


def test_the_page_on_editing_states_it(peaks):
    page = (ROOT / "docs" / "editing.md").read_text(encoding="utf-8")
    for command, name in COMMANDS.items():
        cells = " | ".join(f"{peak:,} MB" for peak in peaks[command])
        assert f"| {name} | {cells} |" in page
        growth_kB = 1000 * (peaks[command][2] - peaks[command][1]) / 540
        assert f"{round(growth_kB, -1 if growth_kB > 100 else 0):.0f} kB" in page


def test_beyond_the_window_a_second_takes_less_than_four_of_samples(peaks):
    for _, minute, ten_minutes in peaks.values():
        assert ten_minutes - minute < 4 * 540 * SECOND_MB
