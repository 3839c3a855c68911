"""Every file says how it was made; the same request makes the same samples."""

import numpy as np

import latentfoley
from latentfoley.provenance import read_provenance

model = latentfoley.load("tiny")
for clip in model.generate(["rain on a tent", "a campfire"], n=2, seed=3):
    clip.save(f"clip-{clip.provenance.index}.wav")

third = read_provenance("clip-2.wav")
assert third is not None
(same,) = model.run(latentfoley.GenerationRequest.from_provenance(third))
(first_time,) = model.generate("a campfire", seed=3, index=2)
assert np.array_equal(same.waveform, first_time.waveform)
