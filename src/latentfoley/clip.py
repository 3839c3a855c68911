"""A generated sound and how it came to be."""

from dataclasses import dataclass
from functools import cached_property
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from jaxtyping import Float32

from latentfoley.audio import resample, write_audio
from latentfoley.config import MelConfig
from latentfoley.finishing import NAMES as FINISHING
from latentfoley.known import FarPrompt
from latentfoley.levels import Levels, measure
from latentfoley.model import ModelParts
from latentfoley.provenance import Provenance, RecordingRef, identity
from latentfoley.request import SamplingRequest
from latentfoley.samplers import SAMPLERS


@dataclass(frozen=True, eq=False)
class Clip:
    """One generated sound.

    Attributes:
        waveform: mono samples in [-1, 1], finished; see `Finishing`.
        mel: the model's front end.
        provenance: everything that decided the samples.
        score: cosine between the sound's and the prompt's CLAP embedding; None unless ranked.
        far: says so where the prompt is far from every kind of sound that the model knows.
    """

    waveform: Float32[np.ndarray, "N"]
    mel: MelConfig
    provenance: Provenance
    score: float | None = None
    far: FarPrompt | None = None

    @property
    def sample_rate(self) -> int:
        """Samples per second."""
        return self.provenance.sample_rate or self.mel.sample_rate

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.waveform) / self.sample_rate

    @cached_property
    def levels(self) -> Levels:
        """How loud it is, and how much of it is silent."""
        return measure(self.waveform, self.sample_rate)

    def save(self, path: str | Path) -> Path:
        """Write a .wav, .flac, .ogg or .mp3 with the provenance in its metadata.

        Raises:
            AudioFileError: another suffix, or the place cannot be written to.
        """
        write_audio(
            path,
            self.waveform,
            self.sample_rate,
            provenance=self.provenance.to_record(),
            channels=self.provenance.channels,
        )
        return Path(path)

    def plot(self, path: str | Path) -> Path:
        """Write a PNG of the waveform above the log-mel."""
        from latentfoley.pictures import plot_clips

        waveform = resample(self.waveform, self.sample_rate, self.mel.sample_rate)
        plot_clips(Path(path), [waveform], [self.provenance.title], self.mel)
        return Path(path)

    def _repr_html_(self) -> str:
        """Return a player and a picture: what a notebook shows of a clip."""
        from latentfoley.webpage import picture, player

        title = self.provenance.title
        with TemporaryDirectory() as folder:
            sound = self.save(Path(folder, "clip.wav")).read_bytes()
            drawn = self.plot(Path(folder, "clip.png")).read_bytes()
        return f"<p>{escape(title)}</p>{player(sound)}<br>{picture(drawn, title)}"


_RECORDED = {
    *("negative_prompt", "seed", "index"),
    *("sampler", "steps", "eta", "guidance", "fast", "loop"),
    *FINISHING,
}


def record_of(
    model: ModelParts, request: SamplingRequest, candidate: int, n_samples: int
) -> Provenance:
    """Return the record of a clip: of the request of it alone, and which candidate was kept."""
    edit, made_by = request.edit_record(), model.identity
    return Provenance(
        kind=edit.kind if edit else "generation",
        edit=edit,
        prompt=request.prompts[0] if request.prompts else "",
        audio_prompt=RecordingRef.of(request.audio_prompt) if request.audio_prompt else None,
        duration_s=n_samples / model.config.mel.sample_rate,
        spacing=request.spacing or SAMPLERS[request.sampler].spacing,
        model=model.name,
        revision=model.revision,
        tokenizer=model.tokenizer,
        prediction=model.prediction,
        model_hash=made_by.weights,
        dtype=made_by.dtype,
        compat=made_by.compat,
        device=made_by.device,
        lora=model.lora,
        identity=identity(made_by, request),
        candidate=candidate,
        **request.model_dump(include=_RECORDED),
    )
