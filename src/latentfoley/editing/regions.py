"""What an edit's spans and bands are in a given recording, checked against its length and rate."""

from dataclasses import replace

import numpy as np

from latentfoley.config import ModelConfig
from latentfoley.editing.inpaint import Inpainting
from latentfoley.editing.masks import Region
from latentfoley.editing.request import EditRequest
from latentfoley.editing.source import Source
from latentfoley.errors import InputError
from latentfoley.model import ModelParts

_ROUNDING_S = 0.01  # by which a span may outlast a recording whose length was read off a screen


def region_of(request: EditRequest, source: Source, config: ModelConfig) -> Region:
    """Return the region that an inpainting asks for.

    Raises:
        InputError: a span outside the recording, or a band above the highest frequency.
    """
    name = source.name
    n_samples, rate = len(source.waveform), config.mel.sample_rate
    for span in request.spans:
        _require_inside(span, n_samples / rate, f"'{name}' is", "s", _ROUNDING_S)
    for band in request.bands:
        _require_inside(band, rate / 2, f"the model at {rate} Hz hears", "Hz", 0)
    starts = [min(round(start * rate), n_samples - 1) for start, _ in request.spans]
    stops = [min(round(stop * rate), n_samples) for _, stop in request.spans]
    spans = tuple((a, max(a + 1, b)) for a, b in zip(starts, stops, strict=True))
    return Region(spans, request.bands, n_samples, config)


def _require_inside(
    given: tuple[float, float], most: float, what: str, unit: str, tolerance: float
) -> None:
    low, high = given
    if high <= most + tolerance:
        return
    hint = f". Did you mean {low:g} to {most:g}?" if low < most else ""
    extent = f"{most:.6g} s long" if unit == "s" else f"up to {most:g} Hz"
    raise InputError(
        f"{low:g} to {high:g} {unit} lies outside: {what} {extent}; "
        f"allowed: 0 to {most:.6g} {unit}{hint}"
    )


def extension(model: ModelParts, request: EditRequest, source: Source) -> Inpainting:
    """Return the mode of filling room before and after a recording.

    To the encoder the room holds the mirrored recording, so that it sees no edge.
    """
    rate = model.config.mel.sample_rate
    before, after = round(request.before_s * rate), round(request.after_s * rate)
    waveform, mirrored = (
        np.pad(source.waveform, (before, after), mode=mode) for mode in ("constant", "symmetric")
    )
    stop = before + len(source.waveform)
    spans = [(0, before)] if before else []
    spans += [(stop, stop + after)] if after else []
    region = Region(tuple(spans), (), len(waveform), model.config)
    source = replace(source, waveform=waveform)
    return Inpainting.of(model, source, region, request.repeats, encoded=mirrored)
