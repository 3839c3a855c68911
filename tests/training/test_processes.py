"""Runs that are killed, stopped or shared between processes make the steps of an unbroken one."""

import functools
import json
import random
import signal
import time

import pytest
import torch

import trainer
from latentfoley.training.checkpoint import load_checkpoint, saved
from micro import AUDIO_TOWER, FRONT_END, UNET, VAE, VOCODER

# A training takes seconds; what else the machine does then is not this file's to say.
pytestmark = [pytest.mark.timeout(1200), pytest.mark.slow]

STEPS = 20
KINDS = ("vae", "vocoder", "diffusion", "clap")
RUN = """
[run]
folder = "{folder}/run"
steps = {steps}
batch_size = 4
learning_rate = 1e-3
warmup_steps = 5
precision = "fp32"
log_every = 1
checkpoint_every = 4
validate_every = 6
keep = 2

[data]
{data}
"""
FIRST = {
    "vae": "crop_frames = 24\ndiscriminator_channels = 4\nadversarial_start = 3\n",
    "vocoder": "segment_frames = 8\ndiscriminator_channels = 4\nadversarial_start = 3\n",
    "diffusion": 'vae = "{model}"\nclap = "{model}"\nvocoder = "{model}"\nembedding_noise = 0.3\n',
    "clap": "embedding_dim = 16\ndrop_path = 0.0\ndropout = 0.0\n",
}
TABLES = {
    "vae": {"model": VAE},
    "vocoder": {"model": VOCODER},
    "diffusion": {"model": UNET},
    "clap": {"model": AUDIO_TOWER, "front_end": FRONT_END},
}


@pytest.fixture(scope="module")
def write_recipe(tmp_path_factory, recordings, latents, micro_model_folder):
    """Return a function that makes a folder with a recipe in it."""
    manifest = f'manifest = "{recordings}"\nfolder = "{recordings.parent}"'
    data = {"diffusion": f'latents = "{latents}"'}

    def write_recipe(kind, name, steps=STEPS):
        folder = tmp_path_factory.mktemp(f"{kind}-{name}")
        lines = []
        for name, table in TABLES[kind].items():
            values = table.model_dump().items()
            lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in values)]
        text = (FIRST[kind] + RUN).format(
            folder=folder,
            data=data.get(kind, manifest),
            model=micro_model_folder,
            steps=steps,
        )
        (folder / trainer.RECIPE).write_text(text + "\n".join(lines))
        return folder

    return write_recipe


@pytest.fixture(scope="module")
def trained(write_recipe):
    """Return a function that trains a kind unbroken, once, by one or two processes."""

    @functools.cache
    def trained(kind, n_processes=1, *, double=False):
        folder = write_recipe(kind, f"by-{n_processes}")
        processes = trainer.start_together(n_processes, kind, folder, double=double)
        assert trainer.ended(*processes) == [0] * n_processes, said(folder)
        return folder

    return trained


def said(folder):
    """Return what all processes of a training had to say."""
    return "\n".join(path.read_text() for path in folder.glob("said*.txt"))


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


@pytest.fixture(params=KINDS)
def whole_and_shared(request, trained):
    """The folders of a kind's training by one process and by two.

    In fp64, but for the denoiser. In fp32 rounding grows: the gradient of a log spectrum is known
    to 1e-4 only, then a LeakyReLU comes to lie on its other side, and after 20 steps at this rate
    weights differ by 3e-4, on one process in two parts just as on two processes. A bias of keys
    has no gradient but rounding, which Adam magnifies. In fp64 all stays below 1e-12, and no
    mistake can hide behind rounding; see docs/decisions/0014. The denoiser has neither, and its
    cache of latents is bound to a VAE of 32 bits.
    """
    double = request.param != "diffusion"
    return [trained(request.param, n_processes, double=double) for n_processes in (1, 2)]


class TestTwoProcesses:
    def test_they_make_the_weights_of_one(self, whole_and_shared):
        ours, theirs = map(weights, whole_and_shared)
        assert ours.keys() == theirs.keys()
        for name, weight in ours.items():
            atol = 1e-9 if weight.dtype == torch.float64 else 1e-5
            torch.testing.assert_close(weight, theirs[name], rtol=0, atol=atol, msg=name)

    def test_they_log_the_losses_of_one(self, whole_and_shared):
        for ours, theirs in zip(*map(logged, whole_and_shared), strict=True):
            assert ours == pytest.approx(theirs, rel=1e-5, abs=1e-6)

    def test_the_first_alone_writes(self, whole_and_shared):
        run = whole_and_shared[1] / "run"
        assert len((run / "log.jsonl").read_text().splitlines()) == STEPS
        record = json.loads((run / "run.json").read_text())
        assert (record["n_processes"], len(record["sessions"])) == (2, 1)


class TestKilled:
    """SIGKILL at any moment: the same command resumes, and makes the steps it would have made."""

    @pytest.mark.parametrize(
        ("kind", "moment"),
        [("vae", "log"), ("vae", "save"), ("vocoder", "log"), ("diffusion", "save")],
    )
    def test_it_goes_on_with_the_very_losses(self, write_recipe, trained, kind, moment):
        folder, step = write_recipe(kind, moment), random.randrange(3, STEPS)
        process = trainer.start(kind, folder, die=(moment, step))
        assert trainer.ended(process) == [-signal.SIGKILL], f"to be killed at {moment} {step}"
        assert not (folder / "run" / "model").exists()
        assert trainer.ended(trainer.start(kind, folder)) == [0], said(folder)
        assert logged(folder) == logged(trained(kind)), f"killed at {moment} {step}"
        ours, theirs = weights(folder), weights(trained(kind))
        assert all(torch.equal(weight, theirs[name]) for name, weight in ours.items())
        kept = [path.name for path in (folder / "run" / "checkpoints").iterdir()]
        assert sorted(kept) == [path.name for path in reversed(saved(folder / "run"))]


class TestOneOfTwo:
    """What happens to one process happens to the run; nobody waits for ever."""

    @pytest.fixture
    def running(self, write_recipe):
        folder = write_recipe("vae", "long", steps=10**6)
        processes = trainer.start_together(2, "vae", folder)
        log = folder / "run" / "log.jsonl"
        while not (log.is_file() and log.read_text().count("\n") >= 3):
            assert all(process.is_alive() for process in processes)
            time.sleep(0.05)
        yield folder, processes
        for process in processes:
            process.kill()

    def test_a_signal_to_one_saves_and_stops_all(self, running):
        folder, processes = running
        processes[1].terminate()
        assert trainer.ended(*processes) == [130, 130]
        assert load_checkpoint(folder / "run")["step"] == len(logged(folder))
        assert "the same command resumes" in (folder / "said-0.txt").read_text()
        assert "resumes" not in (folder / "said-1.txt").read_text()

    def test_the_death_of_one_ends_all(self, running):
        folder, processes = running
        processes[1].kill()
        assert trainer.ended(*processes) == [1, -signal.SIGKILL]
        text = " ".join((folder / "said-0.txt").read_text().split())
        assert "another process of this run is gone" in text
        assert "The same command resumes from the last checkpoint" in text

    def test_a_disk_that_fails_the_first_ends_all(self, running):
        folder, processes = running
        # What looks like the rest of an interrupted save, and cannot be removed.
        (folder / "run" / "checkpoints" / ".latentfoley-0.part").mkdir(parents=True)
        assert trainer.ended(*processes) == [1, 1]
        assert "the last checkpoint in" in (folder / "said-0.txt").read_text()
        assert "the first process stopped" in (folder / "said-1.txt").read_text()
