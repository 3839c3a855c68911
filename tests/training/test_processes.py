"""Runs that are killed, stopped or shared between processes make the steps of an unbroken one."""

import json
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch

import trainer
from latentfoley.training.checkpoint import load_checkpoint, saved
from micro import UNET, VAE, VOCODER

STEPS = 20
KINDS = ("vae", "vocoder", "diffusion")
RUN = """
[run]
folder = "{folder}/run"
steps = 20
batch_size = 4
learning_rate = 1e-3
warmup_steps = 5
precision = "fp32"
log_every = 1
checkpoint_every = 4
validate_every = 6
keep = 2
{more}

[data]
{data}

[model]
"""
FIRST = {
    "vae": "crop_frames = 24\ndiscriminator_channels = 4\nadversarial_start = 3\n",
    "vocoder": "segment_frames = 16\ndiscriminator_channels = 4\nadversarial_start = 3\n"
    "stft_weight = 1.0\n",
    "diffusion": 'vae = "{model}"\nclap = "{model}"\nvocoder = "{model}"\nembedding_noise = 0.3\n',
}
MODELS = {"vae": VAE, "vocoder": VOCODER, "diffusion": UNET}


@pytest.fixture(scope="module")
def write_recipe(tmp_path_factory, recordings, latents, micro_model_folder):
    """Return a function that makes a folder with a recipe in it."""
    manifest = f'manifest = "{recordings}"\nfolder = "{recordings.parent}"'
    data = {"diffusion": f'latents = "{latents}"'}

    def write_recipe(kind, name, more=""):
        folder = tmp_path_factory.mktemp(f"{kind}-{name}")
        model = MODELS[kind].model_dump()
        lines = [f"{key} = {json.dumps(value)}" for key, value in model.items()]
        text = (FIRST[kind] + RUN).format(
            folder=folder, data=data.get(kind, manifest), model=micro_model_folder, more=more
        )
        (folder / trainer.RECIPE).write_text(text + "\n".join(lines))
        return folder

    return write_recipe


@pytest.fixture(scope="module")
def unbroken(write_recipe):
    """The folder of every kind's training by one process, unbroken."""
    folders = {kind: write_recipe(kind, "unbroken") for kind in KINDS}
    for kind, folder in folders.items():
        assert trainer.train(kind, folder) == 0
    return folders


def logged(folder):
    """Return the lines of a log by step, without times; what stands there twice must agree."""
    lines = {}
    for line in (folder / "run" / "log.jsonl").read_text().splitlines():
        record = json.loads(line)
        del record["elapsed_s"], record["steps_per_second"]
        assert lines.setdefault(record["step"], record) == record
    return [lines[step] for step in sorted(lines)]


def weights(folder):
    """Return every tensor of the last checkpoint by name."""
    state = load_checkpoint(folder / "run")
    assert state["step"] == STEPS
    return {f"{m}.{n}": w for m, ws in state["modules"].items() for n, w in ws.items()}


@pytest.fixture(scope="module")
def together(write_recipe):
    """The folder of every kind's training by two processes."""
    folders = {kind: write_recipe(kind, "together") for kind in KINDS}
    processes = trainer.start_together(2, list(folders.items()))
    assert [process.wait(250) for process in processes] == [0, 0]
    return folders


class TestTwoProcesses:
    @pytest.mark.parametrize("kind", KINDS)
    def test_they_make_the_weights_of_one(self, unbroken, together, kind):
        ours, theirs = weights(together[kind]), weights(unbroken[kind])
        assert ours.keys() == theirs.keys()
        for name, weight in ours.items():
            torch.testing.assert_close(weight, theirs[name], rtol=0, atol=1e-5, msg=name)

    @pytest.mark.parametrize("kind", KINDS)
    def test_they_log_the_losses_of_one(self, unbroken, together, kind):
        for ours, theirs in zip(logged(together[kind]), logged(unbroken[kind]), strict=True):
            assert ours == pytest.approx(theirs, rel=1e-3, abs=1e-5)

    @pytest.mark.parametrize("kind", KINDS)
    def test_the_first_alone_writes(self, together, kind):
        lines = (together[kind] / "run" / "log.jsonl").read_text().splitlines()
        assert len(lines) == STEPS
        record = json.loads((together[kind] / "run" / "run.json").read_text())
        assert (record["n_processes"], len(record["sessions"])) == (2, 1)
