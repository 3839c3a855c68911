"""Trainings by the command line, in processes of their own that may be killed."""

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


def start(kind, folder, *, die=None, double=False, **environment):
    """Train in another process, on one thread, by the recipe in a folder.

    Its previews are not listened to: they are made in one iteration. CLAP reads captions with a
    micro text tower. What the process has to say is in `said.txt`, or `said-RANK.txt`.

    Args:
        die: a moment ("log" or "save") and a step, when it is killed.
        double: whether what the recipe calls fp32 is fp64.
    """
    arguments = (kind, folder, die, double, environment)
    process = _CONTEXT.Process(target=_train, args=arguments, daemon=True)
    process.start()
    return process


def start_together(n, kind, folder, **how):
    """Train in n processes, as torchrun would start several; `how` is as for `start`."""
    if n == 1:
        return [start(kind, folder, **how)]
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    shared = {"WORLD_SIZE": n, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    return [start(kind, folder, **how, **shared, RANK=rank, LOCAL_RANK=rank) for rank in range(n)]


def ended(*processes):
    """Wait for processes; return their exit codes, those of killed ones negative."""
    for process in processes:
        process.join(600)
    return [process.exitcode for process in processes]


def _train(kind, folder, die, double, environment):
    import torch

    torch.set_num_threads(1)
    if double:
        _compute_in_double()
    os.environ.update({name: str(value) for name, value in environment.items()})
    name = f"said-{environment['RANK']}.txt" if environment else "said.txt"
    with Path(folder / name).open("w") as said:
        os.dup2(said.fileno(), 1)
        os.dup2(said.fileno(), 2)
        if die is not None:
            _die(*die)
        _run(kind, folder)


def _run(kind, folder):
    from latentfoley.cli import main

    sys.argv = ["latentfoley", "train", kind, str(folder / RECIPE), "--device", "cpu"]
    with (
        mock.patch("latentfoley.training.previews._ITERATIONS", 1),
        mock.patch("latentfoley.training.clap.from_minilm", _micro_text_tower),
    ):
        main()


def _micro_text_tower(embedding_dim):
    assert embedding_dim == micro.EMBEDDING_DIM
    return micro.text_model(), micro.tokenizer()


def _compute_in_double():
    """Make networks and numbers of 64 bits, and let nothing take them back to 32."""
    import numpy as np
    import torch

    from_numpy = torch.from_numpy
    torch.set_default_dtype(torch.float64)
    torch.Tensor.float = torch.Tensor.double
    torch.from_numpy = lambda array: from_numpy(
        array.astype(np.float64) if array.dtype == np.float32 else array
    )


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
