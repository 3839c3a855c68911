"""What TensorBoard is given: every number of the log, and previews to see and to hear."""

import matplotlib.image
import numpy as np
import pytest
import soundfile

from latentfoley.training.log import RunLog
from signals import tone

accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")


@pytest.fixture
def board(tmp_path):
    """Return a function that reads what TensorBoard shows of a run."""

    def board():
        events = accumulator.EventAccumulator(str(tmp_path / "run" / "tensorboard"))
        return events.Reload()

    return board


def test_scalars(board, tmp_path):
    log = RunLog(tmp_path / "run", 0)
    for step, loss in enumerate([3.0, 2.0, 1.0]):
        log.scalars(step, {"loss": loss, "gradient_norm": float("inf")})
    log.close()
    tags = board().Tags()["scalars"]
    assert sorted(tags) == ["loss", "steps_per_second"]  # what is not finite is left out
    assert [(e.step, e.value) for e in board().Scalars("loss")] == [(0, 3.0), (1, 2.0), (2, 1.0)]


def test_after_a_resumption_every_step_is_there_once(board, tmp_path):
    for first_step in (0, 2):
        log = RunLog(tmp_path / "run", first_step)
        for step in range(first_step, 4):
            log.scalars(step, {"loss": float(step)})
        log.close()
    assert [e.step for e in board().Scalars("loss")] == [0, 1, 2, 3]


def test_previews(board, tmp_path):
    previews = tmp_path / "previews"
    previews.mkdir()
    soundfile.write(previews / "0000007-dog.wav", tone(440), 16_000)
    matplotlib.image.imsave(previews / "0000007.png", np.zeros((5, 7)))
    soundfile.write(previews / "0000003-dog.wav", tone(440), 16_000)  # of another step
    log = RunLog(tmp_path / "run", 0)
    log.previews(previews, 7)
    log.close()
    ((sound,), (picture,)) = board().Audio("dog"), board().Images("picture")
    assert (sound.step, sound.sample_rate, picture.step) == (7, 16_000, 7)
    assert sound.length_frames == len(tone(440))
    assert (picture.height, picture.width) == (5, 7)
