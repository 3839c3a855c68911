"""Edits of several clips: each is the same alone and in a batch, with its own noise."""

import numpy as np
import pytest
import soundfile

from latentfoley.pipeline import Model
from signals import noise, tone

EDITS = [
    ("transfer", {"strength": 0.5}),
    ("transfer", {"strength": 0}),
    ("transfer", {"strength": 0.5, "invert": True, "source_prompt": "the sea"}),
    ("inpaint", {"spans": [(0.1, 0.2)], "repeats": 2}),
    ("inpaint", {"bands": [(2000, 4000)]}),
    ("loop", {"seam_s": 0.2}),
    ("morph", {"mix": 0.3}),
]


@pytest.mark.parametrize(("kind", "options"), EDITS)
@pytest.mark.parametrize("sampler", ["dpm++", "dpm++sde"])
def test_a_clip_does_not_depend_on_its_batch(
    micro_model, monkeypatch, tmp_path, kind, options, sampler
):
    soundfile.write(tmp_path / "in.wav", noise(0.4), 16_000)
    soundfile.write(tmp_path / "other.wav", tone(duration_s=0.3), 16_000)
    options = options | ({"other": tmp_path / "other.wav"} if kind == "morph" else {})
    options |= {"n": 2, "steps": 2, "sampler": sampler}
    arguments = (kind, tmp_path / "in.wav", ["rain", "a dog"])
    alone = micro_model.edit(*arguments, **options)
    monkeypatch.setattr(Model, "batch_size", 3)  # as on an accelerator
    together = micro_model.edit(*arguments, **options)
    for first, second in zip(alone, together, strict=True):
        np.testing.assert_allclose(first.waveform, second.waveform, rtol=0, atol=1e-4)
        assert first.provenance.same_sound(second.provenance)
    (last,) = micro_model.edit(*arguments[:2], "a dog", **(options | {"n": 1, "index": 3}))
    np.testing.assert_allclose(last.waveform, together[3].waveform, rtol=0, atol=1e-4)
