"""Pages that are given back: nothing is lost, and memory falls."""

import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from latentfoley import pages
from latentfoley.pages import give_back

N_BYTES = 64 << 20


@pytest.fixture
def mapped(tmp_path):
    """A tensor of 64 MB in a mapped file, read once, and the values that were written."""
    written = torch.arange(N_BYTES // 4, dtype=torch.float32)
    save_file({"weight": written}, tmp_path / "weights.safetensors")
    tensor = load_file(tmp_path / "weights.safetensors")["weight"]
    assert torch.equal(tensor, written)
    return tensor, written


def resident_bytes():
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("VmRSS")).split()[1])


@pytest.mark.skipif(sys.platform != "linux", reason="the call is Linux's")
def test_memory_falls_by_what_is_given_back(mapped):
    tensor, written = mapped
    before = resident_bytes()
    give_back([tensor])
    assert before - resident_bytes() > N_BYTES / 2
    assert torch.equal(tensor, written)


def test_parts_of_a_mapped_tensor_and_copies_keep_their_values(mapped):
    tensor, written = mapped
    copy = written.clone()
    give_back(
        [tensor[1000:3000], tensor[1000 : N_BYTES // 8], copy, torch.empty(0), torch.tensor(1.0)]
    )
    assert torch.equal(tensor, written)
    assert torch.equal(copy, written)


def test_where_there_are_no_maps_nothing_happens(mapped, monkeypatch, tmp_path):
    monkeypatch.setattr(pages, "_MAPS", tmp_path / "no maps here")
    tensor, written = mapped
    give_back([tensor])
    assert torch.equal(tensor, written)
