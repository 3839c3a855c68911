"""Trainings by the command line, in this process or in others that may be killed."""

import multiprocessing
import os
import signal
import socket
import sys
from pathlib import Path
from unittest import mock

import micro

RECIPE = "recipe.toml"

# One server imports everything once; the processes are forks of it.
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    [
        *(
            f"latentfoley.training.{part}"
            for part in ("loop", "clap", "vae", "vocoder", "diffusion")
        ),
        "latentfoley.cli",
        "latentfoley.training.previews",
        "torch.utils.tensorboard",
    ]
)


def train(kind, folder, *words):
    """Run `latentfoley train KIND` by the recipe in a folder; return its exit code.

    Its previews are not listened to: they are made in one iteration. CLAP reads captions with a
    micro text tower.
    """
    from latentfoley.cli import main

    before = sys.argv
    sys.argv = ["latentfoley", "train", kind, str(folder / RECIPE), "--device", "cpu", *words]
    try:
        with (
            mock.patch("latentfoley.training.previews._ITERATIONS", 1),
            mock.patch("latentfoley.training.clap.from_minilm", _micro_text_tower),
        ):
            main()
    except SystemExit as end:
        return end.code
    finally:
        sys.argv = before


def _micro_text_tower(embedding_dim):
    assert embedding_dim == micro.EMBEDDING_DIM
    return micro.text_model(), micro.tokenizer()


def start(kind, folder, die=None, **environment):
    """Train in another process; `die` is a moment ("log" or "save") and a step, when it is killed.

    What it has to say is in `said.txt`, with more than one process `said-RANK.txt`.
    """
    process = _CONTEXT.Process(target=_train, args=(kind, folder, die, environment), daemon=True)
    process.start()
    return process


def start_together(n, kind, folder):
    """Train in n processes, as torchrun would start them."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    shared = {"WORLD_SIZE": n, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    return [start(kind, folder, **shared, RANK=rank, LOCAL_RANK=rank) for rank in range(n)]


def ended(*processes):
    """Wait for processes; return their exit codes, those of killed ones negative."""
    for process in processes:
        process.join(200)
    return [process.exitcode for process in processes]


def _train(kind, folder, die, environment):
    import torch

    torch.set_num_threads(1)
    os.environ.update({name: str(value) for name, value in environment.items()})
    name = f"said-{environment['RANK']}.txt" if environment else "said.txt"
    with Path(folder / name).open("w") as said:
        os.dup2(said.fileno(), 1)
        os.dup2(said.fileno(), 2)
        if die is not None:
            _die(*die)
        sys.exit(train(kind, folder))


def _die(moment, step):
    """Let this process be killed at a moment of a training."""
    import torch

    from latentfoley.training.log import RunLog

    scalars, save = RunLog.scalars, torch.save

    def scalars_and_die(log, number, values):
        scalars(log, number, values)
        if number == step:
            os.kill(os.getpid(), signal.SIGKILL)

    def half_save_and_die(state, file):
        if state["step"] >= step:
            file.write(b"half a checkpoint")
            file.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        save(state, file)

    if moment == "log":
        RunLog.scalars = scalars_and_die
    else:
        torch.save = half_save_and_die
