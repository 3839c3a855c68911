"""The process that holds the model: orders come as lines of JSON, what happens is told likewise.

It computes one job at a time. A clip's file is named by the identity of its samples: one that is
there already, from before a crash, is not computed again. Started with the settings of `load`.
"""

import json
import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from latentfoley.errors import LatentFoleyError
from latentfoley.serve.asked import Request, build
from latentfoley.serve.uploads import without_folders

if TYPE_CHECKING:
    from latentfoley.clip import Clip
    from latentfoley.pipeline import Model


class Cancelled(Exception):  # noqa: N818 - it is no error
    """Raised between two steps of a job that is to end."""


class Orders:
    """What the server wants, read in a thread of its own; the process ends with its input."""

    def __init__(self, lines: TextIO) -> None:
        self._lines = lines
        self._jobs: queue.Queue[dict[str, Any]] = queue.Queue()
        self._cancelled: set[str] = set()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        for line in self._lines:
            order = json.loads(line)
            if order["do"] == "run":
                self._jobs.put(order)
            else:
                self._cancelled.add(order["id"])
        os._exit(0)  # nobody wants the result: not after this step, but now

    def __iter__(self) -> Iterator[dict[str, Any]]:
        while True:
            yield self._jobs.get()

    def require_wanted(self, job_id: str) -> None:
        """Raise `Cancelled` where the job is to end."""
        if job_id in self._cancelled:
            raise Cancelled


class Speaker:
    """Tells the server what happens."""

    def __init__(self, lines: TextIO) -> None:
        self._lines = lines

    def tell(self, tells: str, **values: Any) -> None:
        """Write one line."""
        self._lines.write(json.dumps({"tells": tells, **values}) + "\n")
        self._lines.flush()


def run_job(model: "Model", order: dict[str, Any], orders: Orders, speaker: Speaker) -> None:
    """Compute a job and tell how it ended."""
    folder = Path(order["folder"])
    try:
        compute(model, build(order["request"], folder), folder, order["id"], orders, speaker)
        speaker.tell("done")
    except Cancelled:
        speaker.tell("cancelled")
    except LatentFoleyError as error:
        speaker.tell("failed", why=without_folders(str(error), folder))
    except (MemoryError, _out_of_memory()):
        speaker.tell("failed", why="there is not enough memory for it; ask for a shorter sound")
    except Exception as error:
        places = traceback.format_list(traceback.extract_tb(error.__traceback__))
        print(f"{type(error).__name__}\n{''.join(places)}", file=sys.stderr)  # noqa: T201
        speaker.tell("failed", why=f"{type(error).__name__}: this is a fault of ours")


def compute(
    model: "Model", request: Request, folder: Path, job_id: str, orders: Orders, speaker: Speaker
) -> None:
    """Make every clip of a request that is not there yet.

    Raises:
        Cancelled: between two steps, when the server says so.
        LatentFoleyError: as `Model.run`, or the disk refuses.
    """
    from latentfoley.provenance import identity

    orders.require_wanted(job_id)
    alone = [request.clip(k) for k in range(request.n_clips)]
    names = [identity(model.identity, clip) for clip in alone]
    there = [k for k, name in enumerate(names) if (folder / f"{name}.wav").exists()]

    def progress(done: int, steps: int) -> None:
        orders.require_wanted(job_id)
        speaker.tell("step", done=done, steps=steps)

    def clips() -> Iterator["Clip | None"]:
        if not there:
            yield from model.run(request, progress)
            return
        for k, clip in enumerate(alone):  # what a crash has left
            yield None if k in there else next(model.run(clip, progress))

    for name, clip in zip(names, clips(), strict=True):
        path = folder / f"{name}.wav"
        if clip is not None:
            clip.save(path)
        speaker.tell("sound", sound=_described(name, path, clip))


def _described(name: str, path: Path, clip: "Clip | None") -> dict[str, Any]:
    from latentfoley.audio import read_audio

    made = clip or read_audio(path, sample_rate=None)
    score = clip.score if clip else None
    warning = clip.far.message if clip and clip.far else None
    about = {"identity": name, "duration_s": made.duration_s}
    return about | {"score": score, "warning": warning}


def _out_of_memory() -> type[Exception]:
    import torch

    return torch.OutOfMemoryError


def main() -> None:
    """Load the model, say so, and compute until the input ends."""
    for number in (signal.SIGINT, signal.SIGTERM):  # the server says when to stop
        signal.signal(number, signal.SIG_IGN)
    speaker = Speaker(os.fdopen(os.dup(1), "w", encoding="utf-8"))
    os.dup2(2, 1)  # what libraries print is no message
    orders = Orders(os.fdopen(0, encoding="utf-8"))
    from latentfoley.loading import load

    try:
        model = load(**json.loads(sys.argv[1]))
        about = {
            "id": model.name,
            "knows": list(model.known.names) if model.known else [],
            "mel": model.config.mel.model_dump(mode="json"),
            "identity": model.identity.model_dump(mode="json"),
        }
    except LatentFoleyError as error:
        speaker.tell("broken", why=str(error))
        return
    speaker.tell("ready", model=about)
    for order in orders:
        run_job(model, order, orders, speaker)


if __name__ == "__main__":
    main()
