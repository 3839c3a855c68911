"""One case carried out: the edit with every seed, and what it is compared with.

Baselines that fill a region are put into the recording as the edit is: at its level, with its
cross-fade, so that only the filling differs. "reconstruction" fills it with the truth as the VAE
and the vocoder give it back: nothing that works through them can be expected to come nearer.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from measures import RATE, Bands, Samples, Spans
from suite import SEEDS, Case

from latentfoley.audio import TRAINING_PEAK, read_audio, resample
from latentfoley.clip import Clip
from latentfoley.editing import EditRequest, plot, prepare
from latentfoley.editing.inpaint import Inpainting
from latentfoley.editing.request import SETTINGS
from latentfoley.editing.source import Level
from latentfoley.pipeline import Model

# Found in `strengths.py`; with the default sampler no seed changes it.
INVERTED: dict[str, Any] = {"strength": 0.7, "invert": True, "seeds": SEEDS[:1]}


@dataclass(frozen=True, eq=False)
class Outcome:
    """What came of a case.

    Attributes:
        source: the recording that the case is about.
        kept: what was given to the edit, as long as its result.
        made: the clips of each method: of "edit" one per seed, of a baseline one, or one per seed.
        spans, bands: what was made anew.
        truth: what was there before it was taken away; None where there is no such thing.
        others: further recordings of the case.
    """

    source: Samples
    kept: Samples
    made: dict[str, list[Samples]]
    spans: Spans = ()
    bands: Bands = ()
    truth: Samples | None = None
    others: list[Samples] = field(default_factory=list)


def carry_out(model: Model, case: Case, data: Path, place: Path) -> Outcome:
    """Make everything that a case compares, and a picture of the edit.

    Args:
        model: what edits.
        case: of the suite.
        data: folder of the recordings.
        place: folder for what the edit is given, and for the picture.
    """
    source = read_audio(data / case.source, sample_rate=RATE).waveform
    steps = {
        "transfer": _transfer,
        "vary": _vary,
        "inpaint": _fill,
        "bands": _fill,
        "upsample": _upsample,
        "extend": _extend,
        "loop": _loop,
        "morph": _morph,
    }
    return steps[case.operation](model, case, source, data, place)


def _transfer(model: Model, case: Case, source: Samples, data: Path, place: Path) -> Outcome:
    made = {
        "edit": _edits(model, case, "transfer", data / case.source, place),
        "inverted": _edits(model, case, "transfer", data / case.source, place, **INVERTED),
        "generation": _generated(model, case, len(source)),
        "reconstruction": [reconstruct(model, source, Level.of(source))],
        "keep": [source],
    }
    return Outcome(source, source, made)


def _vary(model: Model, case: Case, source: Samples, data: Path, place: Path) -> Outcome:
    made = {
        "edit": _edits(model, case, "vary", data / case.source, place),
        "reconstruction": [reconstruct(model, source, Level.of(source))],
    }
    return Outcome(source, source, made)


def _fill(model: Model, case: Case, source: Samples, data: Path, place: Path) -> Outcome:
    given: dict[str, Any] = {"spans": case.spans, "bands": case.bands}
    task = _inpainting(model, case, "inpaint", data / case.source, given)
    made = {"edit": _edits(model, case, "inpaint", data / case.source, place, **given)}
    made |= _fillings(model, case, task, source)
    return Outcome(source, source, made, case.spans, case.bands, truth=source)


def _upsample(model: Model, case: Case, source: Samples, data: Path, place: Path) -> Outcome:
    assert case.rate_hz is not None
    path = place / f"{case.name}-input.wav"
    soundfile.write(path, resample(source, RATE, case.rate_hz), case.rate_hz, subtype="FLOAT")
    task = _inpainting(model, case, "upsample", path, {})
    truth = np.pad(source, (0, max(0, task.n_samples - len(source))))[: task.n_samples]
    made = {"edit": _edits(model, case, "upsample", path, place)}
    made |= _fillings(model, case, task, truth)
    made["sinc"] = made.pop("silence")  # nothing in the missing band
    bands = ((case.rate_hz / 2, RATE / 2),)
    return Outcome(source, task.before, made, (), bands, truth=truth)


def _extend(model: Model, case: Case, source: Samples, data: Path, place: Path) -> Outcome:
    assert case.after_s is not None
    path, n_cut = place / f"{case.name}-input.wav", round(case.after_s * RATE)
    soundfile.write(path, source[:-n_cut], RATE, subtype="FLOAT")
    given = {"after_s": case.after_s}
    task = _inpainting(model, case, "extend", path, given)
    made = {"edit": _edits(model, case, "extend", path, place, **given)}
    made |= _fillings(model, case, task, source)
    spans = (((len(source) - n_cut) / RATE, len(source) / RATE),)
    return Outcome(source, task.before, made, spans, truth=source)


def _loop(model: Model, case: Case, source: Samples, data: Path, place: Path) -> Outcome:
    made = {
        "edit": _edits(model, case, "loop", data / case.source, place),
        "generation as a loop": _generated(model, case, len(source), loop=True),
        "generation": _generated(model, case, len(source)),
        "keep": [source],
    }
    half_s, end_s = SETTINGS["loop"]["seam_s"] / 2, len(source) / RATE
    return Outcome(source, source, made, ((0.0, half_s), (end_s - half_s, end_s)))


def _morph(model: Model, case: Case, source: Samples, data: Path, place: Path) -> Outcome:
    other = read_audio(data / case.other, sample_rate=RATE).waveform
    both = [Level.of(sound).to_model(sound) for sound in (source, np.resize(other, len(source)))]
    mixed = both[0] + both[1]
    # A morph starts from the recordings' own noise: with the default sampler no seed changes it.
    given = {"seeds": SEEDS[:1], "other": data / case.other}
    made = {
        "edit": _edits(model, case, "morph", data / case.source, place, **given),
        "mix": [(TRAINING_PEAK / np.abs(mixed).max() * mixed).astype(np.float32)],
    }
    return Outcome(source, source, made, others=[other])


def _edits(
    model: Model,
    case: Case,
    kind: str,
    path: Path,
    place: Path,
    *,
    seeds: Sequence[int] = SEEDS,
    **settings: Any,
) -> list[Samples]:
    """Make the edit with every seed, with default settings otherwise; draw the first."""
    made = []
    for seed in seeds:
        request = EditRequest.build(kind, path, case.prompt or None, seed=seed, **settings)
        mode = prepare(model, request)
        (clip,) = model.make(mode)
        if seed == SEEDS[0] and not settings.get("invert"):
            plot(clip, place / "pictures" / f"{case.name}.png", edit=mode)
        made.append(clip.waveform)
    return made


def _generated(model: Model, case: Case, n_samples: int, *, loop: bool = False) -> list[Samples]:
    """Generate the prompt with every seed, as long as the recording."""

    def generate(seed: int) -> Sequence[Clip]:
        return model.generate(case.prompt, duration_s=n_samples / RATE, seed=seed, loop=loop)

    return [clip.waveform for seed in SEEDS for clip in generate(seed)]


def _inpainting(
    model: Model, case: Case, kind: str, path: Path, settings: dict[str, Any]
) -> Inpainting:
    inpainting = prepare(model, EditRequest.build(kind, path, case.prompt, **settings))
    assert isinstance(inpainting, Inpainting)
    return inpainting


def _fillings(
    model: Model, case: Case, task: Inpainting, truth: Samples
) -> dict[str, list[Samples]]:
    """Fill the region of an inpainting without editing."""
    silence = task.region.compose(task.before, np.zeros_like(task.before))
    generated = [task.finish(waveform) for waveform in _generated(model, case, task.n_samples)]
    level = task.source.level
    again = task.region.compose(task.before, reconstruct(model, truth, level))
    return {"generation": generated, "silence": [silence], "reconstruction": [again]}


@torch.no_grad()
def reconstruct(model: Model, waveform: Samples, level: Level) -> Samples:
    """Return a recording as the VAE and the vocoder give it back."""
    z_0 = model.encode(level.to_model(waveform))
    made: Samples = model.vocode(model.decode(z_0))[0].numpy()
    return level.to_source(made[: len(waveform)])
