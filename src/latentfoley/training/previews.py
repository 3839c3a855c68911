"""What a training of log-mels shows at intervals: a picture, and every log-mel as sound."""

from collections.abc import Mapping
from pathlib import Path

from latentfoley.audio import write_audio
from latentfoley.config import MelConfig
from latentfoley.griffin_lim import griffin_lim
from latentfoley.notation import LogMel
from latentfoley.pictures import plot_mels

NAMES = "names.json"  # what the K-th sound of a row is called, where something says it
_ITERATIONS = 32  # of Griffin-Lim, which needs no trained vocoder


def write_previews(
    folder: Path, step: int, rows: Mapping[str, LogMel], title: str, mel: MelConfig
) -> None:
    """Write STEP.png, one row of pictures per name, and STEP-NAME-K.wav for the K-th of a row."""
    plot_mels(folder / f"{step:07d}.png", [batch.cpu() for batch in rows.values()], title)
    for name, batch in rows.items():
        waveforms = griffin_lim(batch.float().cpu(), mel, iterations=_ITERATIONS)
        for k, waveform in enumerate(waveforms.clamp(-1, 1).numpy()):
            path = folder / f"{step:07d}-{name}-{k}.wav"
            write_audio(path, waveform, mel.sample_rate, provenance=None)
