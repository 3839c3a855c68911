"""The log of a run: JSON lines that need nothing to be read, and TensorBoard's event files."""

import json
import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from latentfoley.errors import MissingExtraError, RecipeError

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

FILE = "log.jsonl"


class RunLog:
    """Appends to `log.jsonl` and to `tensorboard/`.

    After a resumption the steps since the last checkpoint stand there a second time, as they were.
    """

    def __init__(self, folder: Path, first_step: int) -> None:
        _make_folder(folder)
        self.board = _board(folder, first_step)
        _drop_torn_line(folder / FILE)
        self.lines = (folder / FILE).open("a", encoding="utf-8")
        self.start = self.last = time.monotonic()
        self.last_step = first_step

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Add one line: the values, seconds of this session, and steps per second since the last.

        Nine digits, so that a number of fp32 comes back as it was. What is not finite, as the
        gradient of a step that fp16 left out, JSON has no word for: it is left out too.
        """
        now = time.monotonic()
        speed = (step + 1 - self.last_step) / max(now - self.last, 1e-9)
        self.last, self.last_step = now, step + 1
        values = {name: value for name, value in values.items() if math.isfinite(value)}
        rounded = {name: float(f"{value:.9g}") for name, value in values.items()}
        record = {"step": step, "elapsed_s": round(now - self.start, 1)} | rounded
        self.lines.write(json.dumps(record | {"steps_per_second": float(f"{speed:.4g}")}) + "\n")
        self.lines.flush()
        for name, value in (values | {"steps_per_second": speed}).items():
            self.board.add_scalar(name, value, step)

    def previews(self, folder: Path, step: int) -> None:
        """Show the sounds and pictures that a preview of `step` left in `folder` on TensorBoard."""
        import matplotlib.image
        import soundfile

        for path in sorted(folder.glob(f"{step:07d}*")):
            name = path.stem[8:] or "picture"
            if path.suffix == ".wav":
                sound, sample_rate = soundfile.read(path, dtype="float32")
                self.board.add_audio(name, sound[None], step, sample_rate=sample_rate)
            elif path.suffix == ".png":
                pixels = matplotlib.image.imread(path)[..., :3]
                self.board.add_image(name, pixels, step, dataformats="HWC")

    def close(self) -> None:
        """Finish both files."""
        self.lines.close()
        self.board.close()


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RecipeError(f"the run folder '{folder}' cannot be made: {error.strerror}") from None


def _board(folder: Path, first_step: int) -> "SummaryWriter":
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise MissingExtraError(
            "training needs the extra 'train': pip install 'latentfoley[train]'"
        ) from None
    return SummaryWriter(str(folder / "tensorboard"), purge_step=first_step)


def _drop_torn_line(path: Path) -> None:
    """Cut off what follows the last line break: a line that a power cut or a full disk left."""
    if path.is_file():
        whole = path.read_bytes().rpartition(b"\n")
        os.truncate(path, len(whole[0]) + len(whole[1]))
