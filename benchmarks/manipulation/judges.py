"""Who says what a sound is: a classifier that shares nothing with the model, and the model's CLAP.

The classifier knows the ten ESC-10 classes. Drum and synth sounds it does not know: there CLAP's
audio tower decides, by the nearest of the captions of all 27 kinds of sound `tiny` was trained on.
The model is guided by that CLAP's text tower, so its word counts for less.
"""

import sys
import tomllib
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from suite import FAMILIES

import latentfoley
from latentfoley.notation import Embedding

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))  # the classifier is a script beside this folder

from classifier import CLASSES, MIN_SAMPLES, classify, load_classifier  # noqa: E402


class Judges:
    """The classifier and CLAP, behind one question: is this sound the target?"""

    def __init__(self, model: latentfoley.Model, classifier: Path) -> None:
        self.model = model
        self.ensemble = load_classifier(classifier)

    def named(self, waveform: np.ndarray) -> str:
        """Return the ESC-10 class that the classifier takes a sound for."""
        padded = np.pad(waveform, (0, max(0, MIN_SAMPLES - len(waveform))))
        return classify(self.ensemble, [padded])[0][0]

    def heard(self, waveform: np.ndarray) -> np.ndarray:
        """Return CLAP's embedding of a sound."""
        rate = self.model.config.mel.sample_rate
        return self.model.audio.embed(waveform, rate).cpu().numpy()

    def clap_kind(self, waveform: np.ndarray) -> str:
        """Return the ESC-10 class or kind of Sonic Pi sound whose captions are nearest."""
        names, E = self._kinds
        nearest = names[int((E @ torch.from_numpy(self.heard(waveform))).argmax())]
        return next((kind for kind, members in FAMILIES.items() if nearest in members), nearest)

    def is_target(self, waveform: np.ndarray, target: str) -> bool:
        """Return whether a sound is what it was to become."""
        name = self.named(waveform) if target in CLASSES else self.clap_kind(waveform)
        return name == target

    @cached_property
    def _kinds(self) -> tuple[list[str], Embedding]:
        """Every kind of sound with the mean of its captions."""
        path = ROOT / "recipes" / "tiny" / "captions.toml"
        captions: dict[str, list[str]] = {}
        for table in tomllib.loads(path.read_text(encoding="utf-8")).values():
            captions |= table
        means = [self.model.text.embed(some).mean(dim=0) for some in captions.values()]
        return list(captions), F.normalize(torch.stack(means), dim=1).cpu()
