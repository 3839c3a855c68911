"""Folders of runs that never were: logs with a known course."""

import json
from pathlib import Path

import numpy as np

from latentfoley.training.report.run import MAIN_LOSS

N_STEPS = 2000


def write_run(folder: Path, records, metadata=None) -> Path:
    """Write the log of a run and its run.json, by default with what its losses tell."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(record) + "\n" for record in records]
    (folder / "log.jsonl").write_text("".join(lines), encoding="utf-8")
    if metadata is None:
        metadata = {"kind": next((k for k, loss in MAIN_LOSS.items() if loss in records[0]), None)}
    (folder / "run.json").write_text(json.dumps(metadata), encoding="utf-8")
    return folder


def course(train, validation=None, *, name="loss", noise=0.03, others=()) -> list[dict]:
    """Return a log whose losses follow functions of the share of the run that is done.

    `others` are (name, function) of further losses. Every value has noise of `noise` times itself.
    """
    rng = np.random.default_rng(0)
    records = []
    for step in range(0, N_STEPS, 10):
        done = step / N_STEPS
        named = {name: train(done)} | {other: of(done) for other, of in others}
        if validation is not None and step % 100 == 0:
            named[f"validation_{name}"] = validation(done)
        noisy = {key: value * (1 + noise * rng.standard_normal()) for key, value in named.items()}
        records.append({"step": step, "elapsed_s": step / 10} | noisy)
    return records


def healthy(done):
    """Fall, and be done by half of the run."""
    return 0.4 + 0.6 * np.exp(-10 * done)


def falling(done):
    """Fall to the end."""
    return 1 - 0.6 * done


def rising(done):
    """Fall for a while, then rise beyond the start."""
    return healthy(done) + 4 * max(0.0, done - 0.5)


def flat(done):
    """Stay where it began."""
    return 1.0


def turning(done):
    """Fall for a third of the run, then rise slowly."""
    return 0.5 + 0.5 * np.exp(-10 * done) + 0.3 * max(0.0, done - 0.3)
