"""The independent classifier as an embedder: `--embedder classifier_ears:load=WEIGHTS`.

Its features are the 384 numbers before the last layer. They have nothing to do with the model that
is measured: another front end, another network, trained on labels. It has seen the recordings.
"""

import sys
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).parents[1]))  # the classifier is a script above this folder

from classifier import (
    MIN_SAMPLES,
    SAMPLE_RATE,
    Network,
    load_classifier,
    log_mel,
    windows_of,
)
from latentfoley.evaluation.embedders import Features
from latentfoley.evaluation.features.preprocess import AudioPreprocessing


class ClassifierEars:
    """One clip is the mean of its windows."""

    name, pooled = "classifier", False
    preprocessing = AudioPreprocessing(sample_rate=SAMPLE_RATE, min_samples=MIN_SAMPLES)

    def __init__(self, path: Path) -> None:
        self.weights_hash = sha256(path.read_bytes()).hexdigest()
        ensemble = load_classifier(path)
        self.class_names = ensemble.classes  # so it can judge, in an ablation
        self.classes = f"ESC, {len(ensemble.classes)} classes"
        self.networks: list[Network] = list(ensemble.members)  # type: ignore[arg-type]

    @torch.inference_mode()
    def embed(self, waveforms: Sequence[np.ndarray]) -> list[Features]:
        """Return the features of each sound, and the logarithms of its probabilities."""
        return [self._hear(log_mel(windows_of(x, SAMPLE_RATE))) for x in waveforms]

    def _hear(self, mels: Tensor) -> Features:
        pooled = [network.features(mels) for network in self.networks]
        each = zip(self.networks, pooled, strict=True)
        probabilities = torch.stack([functional.softmax(n.head(x), dim=1) for n, x in each])
        logits = probabilities.mean(dim=(0, 1)).clamp(min=1e-12).log()
        features = torch.cat(pooled, dim=1).mean(dim=0, keepdim=True)
        return Features(features.double().numpy(), logits.double().numpy())


def load(path: Path) -> ClassifierEars:
    """Return the classifier that `benchmarks/classifier.py train` wrote."""
    return ClassifierEars(path)
