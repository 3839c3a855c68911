"""Pictures of sound: waveform and log-mel, one row per clip."""

import io
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float32

from latentfoley.config import MelConfig
from latentfoley.encoding import write_atomically
from latentfoley.errors import InputError
from latentfoley.mel import SILENCE, band_of, log_mel
from latentfoley.notation import LogMel, Waveform
from latentfoley.windows import CHUNK, in_chunks

Samples = Float32[np.ndarray, "N"]

_LABELLED_HZ = (250, 500, 1000, 2000, 4000, 8000, 16_000)
_BRIGHTEST = 2.0  # nats; a full-scale tone of 440 Hz
_TITLE_CHARACTERS = 60  # what stands above a picture of 6 inches
# Long sounds are drawn in as many chunks as a picture can show, and more are not kept.
_MOST_COLUMNS = 2048
_MOST_POINTS = 1 << 18


def plot_clips(
    path: Path,
    waveforms: Sequence[Float32[np.ndarray, "N"]],
    titles: Sequence[str],
    mel: MelConfig,
    *,
    columns: int = 1,
) -> None:
    """Write a PNG with the waveform above the log-mel of each clip."""
    from matplotlib.figure import Figure

    rows = -(-len(waveforms) // columns)
    figure = Figure(figsize=(6 * columns, 3 * rows), layout="constrained")
    axes = figure.subplots(2 * rows, columns, height_ratios=[1, 3] * rows, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for k, (waveform, title) in enumerate(zip(waveforms, titles, strict=True)):
        row, column = divmod(k, columns)
        _draw(axes[2 * row][column], axes[2 * row + 1][column], waveform, title, mel)
    _save(figure, path, dpi=100)


def _draw(
    upper: object, lower: object, waveform: Float32[np.ndarray, "N"], title: str, mel: MelConfig
) -> None:
    duration_s = len(waveform) / mel.sample_rate
    upper.set_axis_on()  # type: ignore[attr-defined]
    low, high = _envelope(waveform)
    times = np.linspace(0, duration_s, len(low))
    if len(low) == len(waveform):
        upper.plot(times, waveform, linewidth=0.4)  # type: ignore[attr-defined]
    else:
        upper.fill_between(times, low, high, linewidth=0.4)  # type: ignore[attr-defined]
    upper.set(xlim=(0, duration_s), ylim=(-1, 1), yticks=[], xticks=[])  # type: ignore[attr-defined]
    upper.set_title(_one_line(title), parse_math=False)  # type: ignore[attr-defined]
    lower.set_axis_on()  # type: ignore[attr-defined]
    lower.imshow(  # type: ignore[attr-defined]
        _columns(waveform, mel).T,
        origin="lower",
        aspect="auto",
        vmin=SILENCE,
        vmax=_BRIGHTEST,
        extent=(0, duration_s, 0, mel.n_mels),
        cmap="magma",
    )
    lower.set_xlabel("seconds")  # type: ignore[attr-defined]
    _label_in_hz(lower, mel)


def _label_in_hz(axis: Any, mel: MelConfig) -> None:
    """Label an axis of mel bands, each one unit high, by frequencies."""
    places = {hz: band_of(hz, mel) + 0.5 for hz in _LABELLED_HZ}
    seen = {hz: y for hz, y in places.items() if 0 <= y <= mel.n_mels}
    axis.set_yticks([*seen.values()], [f"{hz:,}" for hz in seen])
    axis.set_ylabel("Hz")


def _envelope(waveform: Samples) -> tuple[Samples, Samples]:
    """Return lowest and highest samples, of as many chunks as can be drawn; both as they are for
    a sound that is short enough."""
    per_chunk = -(-len(waveform) // _MOST_POINTS)
    if per_chunk <= 1:
        return waveform, waveform
    chunks = waveform[: len(waveform) // per_chunk * per_chunk].reshape(-1, per_chunk)
    return chunks.min(axis=1), chunks.max(axis=1)


def _columns(waveform: Samples, mel: MelConfig) -> Float32[np.ndarray, "T F"]:
    """Return the log-mel, of a long sound the loudest of as many frames as go into a column.

    It is computed chunk by chunk: memory does not grow with the length.
    """
    samples = torch.from_numpy(np.ascontiguousarray(waveform))[None]
    per_column = -(-(len(waveform) // mel.hop_length) // _MOST_COLUMNS)
    if per_column <= 1:
        short: Float32[np.ndarray, "T F"] = log_mel(samples, mel)[0, 0].numpy()
        return short

    def loudest(part: Waveform) -> LogMel:
        return F.max_pool2d(log_mel(part, mel), (per_column, 1))

    unit = mel.hop_length * per_column
    columns: Float32[np.ndarray, "T F"] = in_chunks(
        loudest,
        samples,
        dims=(1, 2),
        units=(unit, 1),
        reach=-(-mel.n_fft // unit),
        chunk=-(-CHUNK // per_column),
    )[0, 0].numpy()
    return columns


def plot_edit(
    path: Path,
    waveforms: tuple[Float32[np.ndarray, "N"], Float32[np.ndarray, "N"]],
    mask: Float32[np.ndarray, "T F"],
    title: str,
    mel: MelConfig,
) -> None:
    """Write a PNG of a recording before and after an edit, and of what was regenerated in between.

    Args:
        path: of the PNG.
        waveforms: before and after.
        mask: 0 (kept) … 1 (regenerated), over the whole time and all mel bands.
        title: what was done.
        mel: front end of the pictures.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 8), layout="constrained")
    axes = figure.subplots(5, height_ratios=[1, 3, 2, 1, 3])
    _draw(axes[0], axes[1], waveforms[0], f"before: {title}", mel)
    extent = (0, len(waveforms[0]) / mel.sample_rate, 0, mel.n_mels)
    axes[2].imshow(
        mask.T, origin="lower", aspect="auto", vmin=0, vmax=1, extent=extent, cmap="gray"
    )
    axes[2].set_title(_made_anew(mask))
    _label_in_hz(axes[2], mel)
    _draw(axes[3], axes[4], waveforms[1], "after", mel)
    _save(figure, path, dpi=100)


def _made_anew(mask: Float32[np.ndarray, "T F"]) -> str:
    """Return how to read a mask."""
    depth = float(mask.max())
    if mask.min() < depth or depth in (0, 1):
        return "regenerated: white; late in sampling only: grey"
    return f"regenerated everywhere, to a depth of {depth:.2g}"


def plot_mels(path: Path, rows: Sequence[LogMel], title: str) -> None:
    """Write a PNG of log-mels: one row of pictures per batch, for instance real above made."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4 * len(rows[0]), 2.5 * len(rows)), layout="constrained")
    axes = figure.subplots(len(rows), len(rows[0]), squeeze=False)
    for row, batch in zip(axes, rows, strict=True):
        for axis, picture in zip(row, batch, strict=True):
            axis.imshow(
                picture[0].T,
                origin="lower",
                aspect="auto",
                vmin=SILENCE,
                vmax=_BRIGHTEST,
                cmap="magma",
            )
            axis.set_axis_off()
    figure.suptitle(title)
    _save(figure, path, dpi=80)


def plot_matrix(
    path: Path, values: Float32[np.ndarray, "R C"], names: Sequence[str], title: str
) -> None:
    """Write a PNG of a square table of cosines: rows are sounds, columns are texts."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 7), layout="constrained")
    axis = figure.subplots()
    picture = axis.imshow(values, vmin=-1, vmax=1, cmap="RdBu_r")
    axis.set_xticks(range(len(names)), names, rotation=90)
    axis.set_yticks(range(len(names)), names)
    axis.set(xlabel="captions", ylabel="sounds", title=title)
    figure.colorbar(picture, label="cosine")
    _save(figure, path, dpi=80)


def plot_bars(path: Path, histograms: Mapping[str, Mapping[float, int]], title: str) -> None:
    """Write a PNG of histograms side by side, each a count by the lower edge of its bar."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6 * len(histograms), 4), layout="constrained")
    axes = figure.subplots(1, len(histograms), squeeze=False)
    for axis, (name, bars) in zip(axes[0], histograms.items(), strict=True):
        axis.bar(range(len(bars)), bars.values(), width=1, align="edge", edgecolor="white")
        axis.set_xticks(range(len(bars)), [f"{edge:g}" for edge in bars], rotation=90)
        axis.set(xlabel=f"{name}, from … on", ylabel="recordings")
    figure.suptitle(_one_line(title), parse_math=False)
    _save(figure, path, dpi=100)


def _save(figure: Any, path: Path, *, dpi: int) -> None:
    """Write a PNG whole or not at all; characters the font lacks are drawn as boxes.

    Raises:
        InputError: the place cannot be written to.
    """
    picture = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(picture, dpi=dpi, format="png")
    try:
        write_atomically(path, picture.getvalue())
    except OSError as error:
        raise InputError(f"'{path}' cannot be written: {error.strerror or error}") from None


def _one_line(text: str) -> str:
    """Return a title that fits: on one line, without control characters, not too long."""
    words = "".join(c if c.isprintable() else " " for c in text).split()
    line = " ".join(words)
    return line if len(line) <= _TITLE_CHARACTERS else f"{line[: _TITLE_CHARACTERS - 1]}…"
