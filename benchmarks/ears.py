"""The independent classifier as a judge of `latentfoley ablate`.

    embedders = ["benchmarks/ears.py=build/classifier.safetensors"]

Its features are what stands before its last layer; a longer clip is the mean of its windows.
"""

import sys
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent))  # the classifier is a script beside this file

from classifier import CLASSES, SAMPLE_RATE, Ensemble, Network, load_classifier, log_mel, windows_of
from latentfoley.errors import InputError
from latentfoley.evaluation.embedders import Features
from latentfoley.evaluation.reading import Reading

READING = Reading(sample_rate=SAMPLE_RATE, min_samples=SAMPLE_RATE // 5)


@dataclass(frozen=True, eq=False)
class Classifier:
    """An embedder with class names; see `latentfoley.evaluation.embedders.Embedder`."""

    weights_hash: str
    network: Ensemble
    name: str = "ESC-10 classifier"
    pooled: bool = False
    classes: str = "ESC-10, 10 classes"
    class_names: tuple[str, ...] = CLASSES
    reading: Reading = field(default=READING)

    @torch.inference_mode()
    def embed(self, waveform: np.ndarray) -> Features:
        """Return one row of pooled features, and log-probabilities."""
        mels = log_mel(windows_of(waveform, SAMPLE_RATE))
        heard: list[torch.Tensor] = []
        hooks = [
            member.head.register_forward_pre_hook(lambda _, given: heard.append(given[0]))
            for member in self.network.members
            if isinstance(member, Network)
        ]
        probabilities = self.network(mels).mean(dim=0).double()
        for hook in hooks:
            hook.remove()
        row = torch.cat([features.mean(dim=0) for features in heard]).double()
        return Features(row.numpy()[None], probabilities.clamp(min=1e-12).log().numpy())


def load(path: Path | None) -> Classifier:
    """Return the judge whose weights `benchmarks/classifier.py train` wrote.

    Raises:
        InputError: there is no such file.
    """
    if path is None or not path.is_file():
        raise InputError(f"the judge needs the weights that `make bench` trains, got {path}")
    return Classifier(sha256(path.read_bytes()).hexdigest(), load_classifier(path))
