"""The promise of the paper: what is said about a recording does not touch a single bit.

The whole way is walked, from a folder of recordings to weights, and only words differ.
"""

import shutil

import pytest
import torch

from latentfoley.data.metadata import read_manifest, write_manifest
from latentfoley.training.diffusion import DiffusionTask
from latentfoley.training.diffusion_recipe import DiffusionRecipe
from latents import encode_folder
from tasks import assert_same_weights, run_recipe


@pytest.fixture(scope="session")
def walk(recordings, micro_model_folder, tmp_path_factory):
    """Return a function: recordings with captions changed → shards → latents → three steps."""

    def walk(change, **conditioning):
        out = tmp_path_factory.mktemp("walk")
        folder = shutil.copytree(recordings.parent, out / "data")
        entries = [entry.model_copy(update=change(entry)) for entry in read_manifest(recordings)]
        write_manifest(folder / "manifest.jsonl", entries)
        latents = encode_folder(
            folder, out / "encoded", micro_model_folder, variations=2, mixes=0.5
        )
        values = {"run": run_recipe(out / "run"), "data": {"latents": latents}} | conditioning
        values |= {"start": str(micro_model_folder)}
        task = DiffusionTask(DiffusionRecipe.parse(values, where="test"), torch.device("cpu"))
        for step in range(3):
            task.step(step)
        return task

    return walk


@pytest.fixture(scope="session")
def as_it_was(walk):
    return walk(lambda entry: {})


CHANGES = {
    "deleted": lambda entry: {"captions": ()},
    "shuffled": lambda entry: {
        "captions": {"tone": ("rain",), "noise": ("a tone",)}.get(
            entry.labels[0], entry.captions[::-1]
        )
    },
    "replaced": lambda entry: {"captions": ("something", "else", "altogether")},
    "nothing left": lambda entry: {"captions": (), "labels": (), "title": "x", "author": "y"},
    "labels": lambda entry: {"labels": ("all", "the same")},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_captions_and_labels_change_no_weight(walk, as_it_was, change):
    assert_same_weights(as_it_was, walk(change))


def test_this_test_would_see_it(walk):
    """Shown by their captions, clips do teach other weights when those are replaced."""
    as_said = walk(lambda entry: {}, conditioning="text")
    with pytest.raises(AssertionError):
        assert_same_weights(as_said, walk(CHANGES["replaced"], conditioning="text"))
