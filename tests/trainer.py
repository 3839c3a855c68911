"""Trainings by the command line, in this process or in others that may be killed.

python trainer.py KIND FOLDER …                       one training after the other
python trainer.py --die=log:7 KIND FOLDER             SIGKILL once step 7 is in the log
python trainer.py --die=save:8 KIND FOLDER            SIGKILL while the state after 8 is written
"""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

RECIPE = "recipe.toml"


def train(kind: str, folder: Path, *words: str) -> int:
    """Run `latentfoley train KIND` by the recipe in a folder; return its exit code."""
    from latentfoley.cli import main

    before = sys.argv
    sys.argv = ["latentfoley", "train", kind, str(Path(folder) / RECIPE), "--device", "cpu", *words]
    try:
        main()
    except SystemExit as end:
        return int(end.code or 0)
    finally:
        sys.argv = before
    return 0


def start(*words: object, **environment: object) -> "subprocess.Popen[bytes]":
    """Start this file as a process."""
    values = os.environ | {name: str(value) for name, value in environment.items()}
    return subprocess.Popen([sys.executable, __file__, *map(str, words)], env=values)


def start_together(n: int, trainings: list[tuple[str, Path]]) -> "list[subprocess.Popen[bytes]]":
    """Start n processes that make each of the trainings together, as torchrun would."""
    words = [word for kind, folder in trainings for word in (kind, folder)]
    shared = {"WORLD_SIZE": n, "MASTER_ADDR": "127.0.0.1"}
    shared["PORTS"] = " ".join(map(str, _free_ports(len(trainings))))
    return [start(*words, **shared, RANK=rank, LOCAL_RANK=rank) for rank in range(n)]


def _free_ports(n: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    ports = [server.getsockname()[1] for server in sockets]
    for server in sockets:
        server.close()
    return ports


def _die(moment: str, step: int) -> None:
    """Let this process be killed at a moment of a training."""
    import torch

    from latentfoley.training.log import RunLog

    scalars, save = RunLog.scalars, torch.save

    def scalars_and_die(log, number, values):
        scalars(log, number, values)
        if number == step:
            os.kill(os.getpid(), signal.SIGKILL)

    def half_save_and_die(state, file):
        if state["step"] == step:
            file.write(b"half a checkpoint")
            file.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        save(state, file)

    if moment == "log":
        RunLog.scalars = scalars_and_die
    else:
        torch.save = half_save_and_die


def _main() -> None:
    words = sys.argv[1:]
    if words[0].startswith("--die="):
        moment, step = words.pop(0).removeprefix("--die=").split(":")
        _die(moment, int(step))
    ports = os.environ.get("PORTS", "").split()
    for k, (kind, folder) in enumerate(zip(words[::2], words[1::2], strict=True)):
        if ports:
            os.environ["MASTER_PORT"] = ports[k]
        if code := train(kind, Path(folder)):
            sys.exit(code)


if __name__ == "__main__":
    _main()
